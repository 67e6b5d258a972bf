//! Draws the live view, on any size of terminal down to 40 by 10.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Drawn, Span};

use super::app::{App, Mode};
use super::keys::HELP;
use super::pane::{Kind, Line, Pane};
use super::row::{Mood, Row};
use crate::decode::dollars;

/// From which width on the list and a pane stand side by side.
const WIDE: u16 = 140;

/// Below which width words are left out.
const NARROW: u16 = 72;

/// From which width on the list says what exchanges were about.
const ABOUT: u16 = 54;

/// Columns for the names of keys in the help.
const KEYS: u16 = 12;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let area = frame.area();
    if area.height < 4 || area.width < 20 {
        return;
    }
    put(frame, (area.x, area.y, area.width), header(app, area.width));
    let body = Rect { y: area.y + 2, height: area.height - 3, ..area };
    let second = (area.x, area.y + 1, area.width);
    app.page = usize::from(body.height.saturating_sub(1).max(1));
    let front = match &app.mode {
        Mode::Typing(..) => app.behind.clone(),
        other => other.clone(),
    };
    match front {
        Mode::Help => {
            put(frame, second, Drawn::from("keys").style(bold()));
            help(frame, app, body);
        }
        Mode::Detail => {
            put(frame, second, tabs(app, area.width));
            pane(frame, app, body);
        }
        _ if area.width >= WIDE => {
            put(frame, second, filter(app));
            let left = Rect { width: area.width / 2 - 1, ..body };
            let right = Rect { x: left.right() + 2, width: area.width - left.width - 2, ..body };
            list(frame, app, left);
            pane(frame, app, right);
        }
        _ => {
            put(frame, second, filter(app));
            list(frame, app, body);
        }
    }
    let last = (area.x, area.bottom() - 1, area.width);
    put(frame, last, footer(app, area.width));
    if let Mode::Typing(prompt, text) = &app.mode {
        let typed = Span::raw(format!("{}: {text}", prompt.label())).width();
        let x = u16::try_from(typed).unwrap_or(u16::MAX).min(area.width - 1);
        frame.set_cursor_position((area.x + x, last.1));
    }
}

fn put(frame: &mut Frame<'_>, (x, y, width): (u16, u16, u16), line: impl Into<Drawn<'static>>) {
    let line = line.into();
    frame.buffer_mut().set_line(x, y, &line, width);
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn header(app: &App, width: u16) -> Drawn<'static> {
    let seen = app.rows.back().map_or(0, |row| row.number);
    let mut text = if width < NARROW {
        // Where it is, and the program's name, may be cut off.
        format!("{seen} seen  {}", app.title.rsplit("  ").next().unwrap_or_default())
    } else {
        format!("{}  {seen} seen", app.title)
    };
    if app.spent.calls > app.spent.unpriced {
        text.push_str(&format!("  {}", dollars(app.spent.micro_usd)));
    }
    if app.spent.calls > 0 {
        text.push_str(&format!("  {}→{} tokens", app.spent.tokens_in, app.spent.tokens_out));
    }
    let mut spans = Vec::new();
    if app.holds || !app.held.is_empty() {
        // First, where a narrow terminal does not cut it off.
        let text = format!("HOLDING, {} wait  ", app.held.len());
        spans.push(Span::styled(text, Style::new().fg(Color::Magenta)));
    }
    spans.push(Span::styled(text, bold()));
    Drawn::from(spans)
}

fn filter(app: &App) -> Drawn<'static> {
    if app.filter_text.is_empty() {
        return Drawn::from(Span::styled("all of them; f filters", faint()));
    }
    let (shown, all) = (app.shown().count(), app.rows.len());
    Drawn::from(format!("filter {}  ({shown} of {all})", app.filter_text))
}

fn tabs(app: &App, width: u16) -> Drawn<'static> {
    let mut spans = vec![Span::styled(format!("#{}  ", app.selected), bold())];
    for (place, one) in Pane::ALL.iter().enumerate() {
        let style = if *one == app.pane {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        let name = if width >= NARROW || *one == app.pane {
            format!(" {} {} ", place + 1, one.name())
        } else {
            format!(" {} ", place + 1)
        };
        spans.push(Span::styled(name, style));
    }
    if app.pane == Pane::Difference {
        let style = Style::new().add_modifier(Modifier::REVERSED);
        spans.push(Span::styled(" difference ", style));
    }
    Drawn::from(spans)
}

fn footer(app: &App, width: u16) -> Drawn<'static> {
    match &app.mode {
        Mode::Typing(prompt, text) => Drawn::from(format!("{}: {text}", prompt.label())),
        _ if !app.said.is_empty() => {
            Drawn::from(Span::styled(app.said.clone(), Style::new().fg(Color::Yellow)))
        }
        Mode::Detail if width < NARROW => Drawn::from("? keys  Esc back  ↑↓ scroll  ←→ panes"),
        Mode::List if width < NARROW => Drawn::from("? keys  q quit  ↑↓ choose  Enter look"),
        Mode::Help if width < NARROW => Drawn::from("↑↓ scroll  any other key goes back"),
        Mode::Detail => {
            Drawn::from("↑↓ scroll  ←→ panes  [ ] others  / find  r again  Esc back  ? keys")
        }
        Mode::Help => Drawn::from("↑↓ scroll, any other key goes back"),
        Mode::List => {
            Drawn::from("↑↓ choose  Enter look  f filter  / find  p hold  r again  ? keys  q quit")
        }
    }
}

fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn list(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let rows: Vec<&Row> = app.shown().collect();
    if rows.is_empty() {
        let text = if app.rows.is_empty() { "nothing was asked yet" } else { "nothing fits" };
        put(frame, (area.x, area.y, area.width), Drawn::from(Span::styled(text, faint())));
        return;
    }
    let height = usize::from(area.height);
    // The same in every row, so that the columns stay below each other.
    let rest = usize::from(area.width).saturating_sub(26);
    // A few letters of what it was about would say nothing.
    let has_more = area.width >= ABOUT && rows.iter().any(|row| !row.about.is_empty());
    let title_room = if has_more { (rest * 45 / 100).max(12).min(rest) } else { rest };
    let chosen = rows.iter().position(|row| row.number == app.selected);
    let chosen = chosen.unwrap_or(rows.len() - 1);
    // The chosen one stays in sight, with the newest below it where they have room.
    let top = (chosen + height / 3 + 1).min(rows.len()).saturating_sub(height).min(chosen);
    for (y, row) in (area.y..area.bottom()).zip(rows.into_iter().skip(top)) {
        put(frame, (area.x, y, area.width), entry(app, row, (area.width, title_room)));
    }
}

fn entry(app: &App, row: &Row, (width, title_room): (u16, usize)) -> Drawn<'static> {
    let is_held = app.held.contains(&row.number);
    let mark = match (app.marked == Some(row.number), is_held) {
        (true, _) => '*',
        (_, true) => '=',
        _ => ' ',
    };
    let number = row.number;
    let state = if is_held { "held" } else { row.state.as_str() };
    let title = padded(&row.title, title_room);
    let (state, time) = (padded(state, 5), format!("{:>8}", row.time()));
    let text = format!("{mark}{:>6} {title} {state} {time}  {}", format!("#{number}"), row.about);
    let mut style = match row.mood {
        _ if is_held => Style::new().fg(Color::Magenta),
        Mood::Good => Style::new(),
        Mood::Odd => Style::new().fg(Color::Yellow),
        Mood::Bad => Style::new().fg(Color::Red),
        Mood::Open => faint(),
    };
    if row.number == app.selected {
        style = style.add_modifier(Modifier::REVERSED);
    }
    Drawn::from(Span::styled(padded(&text, usize::from(width)), style))
}

/// A text in exactly so many columns; one that is longer ends in `…`.
fn padded(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let whole = Span::raw(text).width() <= columns;
    let room = if whole { columns } else { columns.saturating_sub(1) };
    for c in text.chars() {
        let wide = Span::raw(c.to_string()).width();
        if used + wide > room {
            break;
        }
        out.push(c);
        used += wide;
    }
    if !whole && columns > 0 {
        out.push('…');
        used += 1;
    }
    out.push_str(&" ".repeat(columns.saturating_sub(used)));
    out
}

fn pane(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let mut y = area.y;
    let needle = app.find.to_lowercase();
    for (place, line) in app.lines.iter().enumerate().skip(app.scroll) {
        let is_found =
            !needle.is_empty() && place == app.scroll && line.text.to_lowercase().contains(&needle);
        for part in wrapped(&line.text, usize::from(area.width)) {
            if y >= area.bottom() {
                return;
            }
            let style =
                if is_found { style(line).add_modifier(Modifier::REVERSED) } else { style(line) };
            put(frame, (area.x, y, area.width), Drawn::from(Span::styled(part, style)));
            y += 1;
        }
    }
}

fn style(line: &Line) -> Style {
    match line.kind {
        Kind::Plain => Style::new(),
        Kind::Head => bold().fg(Color::Cyan),
        Kind::Bad => Style::new().fg(Color::Red),
        Kind::Odd => Style::new().fg(Color::Yellow),
        Kind::Good => Style::new().fg(Color::Green),
        Kind::Faint => faint(),
    }
}

/// A text in lines of so many columns, broken behind a blank where one is in the second half.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let wide = |text: &str| Span::raw(text.to_owned()).width();
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for c in text.chars() {
        let width = wide(c.encode_utf8(&mut [0; 4]));
        if used + width > columns {
            let end = line.rfind(' ').map_or(line.len(), |at| at + 1);
            let end = if c == ' ' || end * 2 < line.len() { line.len() } else { end };
            let rest = line.split_off(end);
            lines.push(std::mem::replace(&mut line, rest));
            used = wide(&line);
        }
        line.push(c);
        used += width;
    }
    lines.push(line);
    lines
}

fn help(frame: &mut Frame<'_>, app: &mut App, area: Rect) {
    let room = usize::from(area.width.saturating_sub(KEYS));
    let lines: Vec<(&str, String)> = HELP
        .iter()
        .flat_map(|(keys, what)| {
            let names = std::iter::once(*keys).chain(std::iter::repeat(""));
            names.zip(wrapped(what, room))
        })
        .collect();
    let last = lines.len().saturating_sub(usize::from(area.height));
    app.help = app.help.min(last);
    for (y, (keys, what)) in (area.y..area.bottom()).zip(lines.into_iter().skip(app.help)) {
        let keys = Span::styled(padded(keys, usize::from(KEYS)), bold());
        put(frame, (area.x, y, area.width), Drawn::from(vec![keys, Span::raw(what)]));
    }
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_break_behind_words_and_lose_nothing() {
        assert_eq!(wrapped("one two three", 9), ["one two ", "three"]);
        assert_eq!(wrapped("one two", 3), ["one", " tw", "o"]);
        assert_eq!(wrapped("a 0123456789", 8), ["a 012345", "6789"], "a long word is cut");
        assert_eq!(wrapped("日本語", 4), ["日本", "語"]);
        assert_eq!(wrapped("", 4), [""]);
        let text = "some words of any length, 0123456789012345678901234567890123456789 and more";
        for columns in 2..80 {
            let lines = wrapped(text, columns);
            assert_eq!(lines.concat(), text, "{columns}");
            assert!(lines.iter().all(|line| line.len() <= columns), "{columns}: {lines:?}");
        }
    }
}
