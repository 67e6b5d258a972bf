//! What each key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::{Act, App, Mode, Prompt};
use super::pane::Pane;
use crate::capture::Book;

/// The keys, for the help.
pub(super) const HELP: &[(&str, &str)] = &[
    ("↑ ↓  j k", "choose; in a pane scroll (PgUp PgDn Home End too)"),
    ("Enter  Esc", "look at one; back"),
    ("1 … 5  ← →", "overview, request, answer, messages, frames"),
    ("[ ]", "the exchange before, the next one"),
    ("f", "filter: path:/v1/* status:5xx model:claude tool:search slow:2s bad"),
    ("/  n  N", "find in the pane or the list; next, before"),
    ("p", "hold every request from now on, or none"),
    ("c", "let a held request go"),
    ("e", "edit a held request's body, then let it go"),
    ("x", "close the connection of a held request"),
    ("r  R", "send it again; to another server"),
    ("m  d", "mark one; what differs between it and the chosen one"),
    ("w", "write what is shown to a file: HAR, pcapng, or lines"),
    ("C", "forget all that is over"),
    ("?  q", "this; quit"),
];

/// Takes a key; gives what is to be done outside.
pub(super) fn key(app: &mut App, key: KeyEvent, book: &Book) -> Option<Act> {
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Some(Act::Quit);
    }
    app.said.clear();
    match app.mode.clone() {
        Mode::Typing(prompt, text) => typing(app, (prompt, text), key, book),
        Mode::Help => {
            match key.code {
                KeyCode::Down | KeyCode::Char('j') | KeyCode::PageDown => {
                    app.help = app.help.saturating_add(1);
                    return None;
                }
                KeyCode::Up | KeyCode::Char('k') | KeyCode::PageUp => {
                    app.help = app.help.saturating_sub(1);
                    return None;
                }
                _ => app.help = 0,
            }
            app.mode = app.behind.clone();
            (key.code == KeyCode::Char('q')).then_some(Act::Quit)
        }
        Mode::List => common(app, key.code, book).unwrap_or_else(|| {
            list(app, key.code);
            None
        }),
        Mode::Detail => common(app, key.code, book).unwrap_or_else(|| {
            detail(app, key.code);
            None
        }),
    }
}

fn typing(
    app: &mut App,
    (prompt, mut text): (Prompt, String),
    key: KeyEvent,
    book: &Book,
) -> Option<Act> {
    let behind = app.behind.clone();
    let with = |held| key.modifiers.contains(held);
    match key.code {
        KeyCode::Char(letter) if with(KeyModifiers::CONTROL) => {
            // As in a shell: the line, or its last word, goes.
            match letter {
                'u' => text.clear(),
                'w' => text.truncate(text.trim_end().rfind(' ').map_or(0, |place| place + 1)),
                'h' => drop(text.pop()),
                _ => {}
            }
            app.mode = Mode::Typing(prompt, text);
        }
        KeyCode::Char(_) if with(KeyModifiers::ALT) => {}
        KeyCode::Esc => app.mode = behind,
        KeyCode::Backspace => {
            text.pop();
            app.mode = Mode::Typing(prompt, text);
        }
        KeyCode::Char(c) => {
            // Limit: characters of a line that is typed.
            if text.chars().count() < 500 {
                text.push(c);
            }
            app.mode = Mode::Typing(prompt, text);
        }
        KeyCode::Enter => {
            app.mode = behind;
            return entered(app, prompt, text, book);
        }
        _ => {}
    }
    None
}

fn entered(app: &mut App, prompt: Prompt, text: String, book: &Book) -> Option<Act> {
    match prompt {
        Prompt::Filter => app.set_filter(&text, book),
        Prompt::Find => {
            app.find = text;
            app.read_if_seen(book);
            if app.mode == Mode::Detail { app.find_next(true) } else { app.find_row(true) }
        }
        Prompt::Export if !text.trim().is_empty() => {
            return Some(Act::Export(text.trim().to_owned()));
        }
        Prompt::Target if !text.trim().is_empty() => {
            return Some(Act::Replay(app.selected, Some(text.trim().to_owned())));
        }
        Prompt::Export | Prompt::Target => {}
    }
    None
}

/// Keys that do the same in the list and in a pane; nothing for others.
fn common(app: &mut App, code: KeyCode, book: &Book) -> Option<Option<Act>> {
    let number = app.selected;
    let act = match code {
        KeyCode::Char('q') => Some(Act::Quit),
        KeyCode::Char('r') => Some(Act::Replay(number, None)),
        KeyCode::Char('c') => Some(Act::Go(number)),
        KeyCode::Char('x') => Some(Act::Drop(number)),
        KeyCode::Char('e') => Some(Act::Edit(number)),
        KeyCode::Char('p') => Some(Act::Hold),
        KeyCode::Char('C') => Some(Act::Clear),
        KeyCode::Char('R') => ask(app, Prompt::Target, String::new()),
        KeyCode::Char('f') => {
            let text = app.filter_text.clone();
            ask(app, Prompt::Filter, text)
        }
        KeyCode::Char('/') => ask(app, Prompt::Find, String::new()),
        KeyCode::Char('w') => ask(app, Prompt::Export, "rapport-inspect.har".to_owned()),
        KeyCode::Char('?') => {
            app.behind = std::mem::replace(&mut app.mode, Mode::Help);
            None
        }
        KeyCode::Char('m') => {
            app.marked = Some(number);
            app.said = format!("#{number} is marked; choose another and press d");
            None
        }
        KeyCode::Char('d') => {
            app.differ(book);
            None
        }
        KeyCode::Char(']') => {
            app.step(1);
            None
        }
        KeyCode::Char('[') => {
            app.step(-1);
            None
        }
        KeyCode::Char(digit @ '1'..='5') => {
            let place = usize::from(u8::try_from(digit).unwrap_or(b'1') - b'1');
            app.turn(*Pane::ALL.get(place).unwrap_or(&Pane::Overview));
            app.mode = Mode::Detail;
            None
        }
        _ => return None,
    };
    Some(act)
}

fn ask(app: &mut App, prompt: Prompt, text: String) -> Option<Act> {
    app.behind = std::mem::replace(&mut app.mode, Mode::Typing(prompt, text));
    None
}

fn list(app: &mut App, code: KeyCode) {
    let page = isize::try_from(app.page).unwrap_or(10);
    match code {
        KeyCode::Down | KeyCode::Char('j') => app.step(1),
        KeyCode::Up | KeyCode::Char('k') => app.step(-1),
        KeyCode::PageDown => app.step(page),
        KeyCode::PageUp => app.step(-page),
        KeyCode::Home => app.step(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => app.step(isize::MAX),
        KeyCode::Char('n') => app.find_row(true),
        KeyCode::Char('N') => app.find_row(false),
        KeyCode::Enter | KeyCode::Right if app.selected > 0 => {
            if app.pane == Pane::Difference {
                app.turn(Pane::Overview);
            }
            app.mode = Mode::Detail;
        }
        KeyCode::Esc if !app.filter_text.is_empty() => {
            "the filter stays; press f and empty it".clone_into(&mut app.said);
        }
        _ => {}
    }
}

fn detail(app: &mut App, code: KeyCode) {
    let page = isize::try_from(app.page).unwrap_or(10);
    match code {
        KeyCode::Down | KeyCode::Char('j') => app.scroll_by(1),
        KeyCode::Up | KeyCode::Char('k') => app.scroll_by(-1),
        KeyCode::PageDown | KeyCode::Char(' ') => app.scroll_by(page),
        KeyCode::PageUp => app.scroll_by(-page),
        KeyCode::Home => app.scroll_by(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => app.scroll_by(isize::MAX),
        KeyCode::Char('n') => app.find_next(true),
        KeyCode::Char('N') => app.find_next(false),
        KeyCode::Right | KeyCode::Tab => app.turn(app.pane.beside(1)),
        KeyCode::Left | KeyCode::BackTab => app.turn(app.pane.beside(-1)),
        KeyCode::Esc | KeyCode::Backspace => app.mode = Mode::List,
        _ => {}
    }
}
