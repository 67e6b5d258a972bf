//! Repairs what hands and editors do to JSON: marks, encodings, commas, comments, quotes.

/// What was done to a text.
#[derive(Debug, Default)]
pub(super) struct Repaired {
    pub(super) text: String,
    /// Each thing that was done, in words.
    pub(super) notes: Vec<String>,
}

/// One way to repair a text, and what it does.
type Step = (&'static str, fn(&str) -> String);

/// The ways, the most harmless first; as many are taken as are needed.
const STEPS: &[Step] = &[
    ("removed commas before closing brackets", without_last_commas),
    ("removed comments, which JSON does not have", without_comments),
    ("replaced typographic quotation marks", with_plain_quotes),
    ("wrote single backslashes twice", with_double_backslashes),
    ("set commas that were missing between entries", with_commas),
];

/// The bytes as UTF-8 without a byte-order mark; `None` when they are no text.
pub(super) fn decoded(bytes: &[u8]) -> Option<Repaired> {
    let wide = |rest: &[u8], join: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest
            .chunks_exact(2)
            .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
            .map(join)
            .collect();
        String::from_utf16(&units).ok()
    };
    let (text, note) = match bytes {
        [0xff, 0xfe, rest @ ..] => (wide(rest, u16::from_le_bytes)?, "saved it as UTF-8"),
        [0xfe, 0xff, rest @ ..] => (wide(rest, u16::from_be_bytes)?, "saved it as UTF-8"),
        [0xef, 0xbb, 0xbf, rest @ ..] => {
            (String::from_utf8(rest.to_vec()).ok()?, "removed the byte-order mark")
        }
        bytes => {
            return Some(Repaired { text: String::from_utf8(bytes.to_vec()).ok()?, notes: vec![] });
        }
    };
    Some(Repaired { text, notes: vec![note.to_owned()] })
}

/// The text as JSON that strict readers take; `None` when these ways do not lead there.
pub(super) fn json(text: &str) -> Option<Repaired> {
    let is_whole = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    if is_whole(text) {
        return Some(Repaired { text: text.to_owned(), notes: Vec::new() });
    }
    // One way alone first, so that nothing is done that is not needed.
    for (note, step) in STEPS {
        let text = step(text);
        if is_whole(&text) {
            return Some(Repaired { text, notes: vec![(*note).to_owned()] });
        }
    }
    let mut repaired = Repaired { text: text.to_owned(), notes: Vec::new() };
    for (note, step) in STEPS {
        let new = step(&repaired.text);
        if new != repaired.text {
            repaired.notes.push((*note).to_owned());
            repaired.text = new;
        }
        if is_whole(&repaired.text) {
            return Some(repaired);
        }
    }
    None
}

/// Goes through a text and hands out each character, and whether it stands inside quotes.
fn walk(text: &str, mut take: impl FnMut(usize, char, bool)) {
    let (mut inside, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        take(at, letter, inside);
        match letter {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            '\n' => inside = false,
            _ => {}
        }
    }
}

fn without_last_commas(text: &str) -> String {
    let mut drop = Vec::new();
    let mut comma = None;
    walk(text, |at, letter, inside| match letter {
        ',' if !inside => comma = Some(at),
        '}' | ']' if !inside => drop.extend(comma.take()),
        letter if !letter.is_whitespace() => comma = None,
        _ => {}
    });
    let kept = text.char_indices().filter(|(at, _)| !drop.contains(at));
    kept.map(|(_, letter)| letter).collect()
}

fn without_comments(text: &str) -> String {
    let mut starts = Vec::new();
    let mut before = ' ';
    walk(text, |at, letter, inside| {
        if !inside && (letter == '/' && before == '/') {
            starts.push(at - 1);
        } else if !inside && letter == '#' {
            starts.push(at);
        }
        before = if inside { ' ' } else { letter };
    });
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for line in text.split_inclusive('\n') {
        let to = from + line.len();
        let cut = starts.iter().find(|start| (from..to).contains(*start));
        match cut.and_then(|cut| line.get(..cut - from)) {
            // A line that was only a comment goes as a whole.
            Some(kept) if kept.trim().is_empty() => {}
            Some(kept) => {
                out.push_str(kept.trim_end());
                out.push('\n');
            }
            None => out.push_str(line),
        }
        from = to;
    }
    without_last_commas(&out)
}

fn with_plain_quotes(text: &str) -> String {
    text.replace(['\u{201c}', '\u{201d}', '\u{201e}', '\u{201f}'], "\"")
}

fn with_double_backslashes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        out.push(letter);
        if letter != '\\' {
            continue;
        }
        match letters.peek() {
            // A path's `\\` and `\"` are whole; `\n` of `C:\new` cannot be told from a line end.
            Some('\\' | '"' | '/') => out.extend(letters.next()),
            Some('u' | 'b' | 'f' | 'n' | 'r' | 't') if !text.contains(":\\") => {}
            _ => out.push('\\'),
        }
    }
    out
}

fn with_commas(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::with_capacity(text.len() + 8);
    for (at, line) in lines.iter().enumerate() {
        out.push_str(line);
        let ends = line.trim_end().ends_with(['"', '}', ']', 'e', 'l'])
            || line.trim_end().ends_with(|c: char| c.is_ascii_digit());
        let next = lines.iter().skip(at + 1).map(|next| next.trim()).find(|next| !next.is_empty());
        if ends && next.is_some_and(|next| next.starts_with('"') || next.starts_with('{')) {
            out.push(',');
        }
        out.push('\n');
    }
    if !text.ends_with('\n') {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{decoded, json};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(json(text).map(|repaired| repaired.text).as_deref(), Some(expected));
    }

    #[test]
    fn slips_of_hands_are_repaired_and_nothing_else_changes() {
        check("{\"a\": [1, 2,],}", "{\"a\": [1, 2]}");
        check("{\"a\": \"x,}\"}", "{\"a\": \"x,}\"}");
        check("{\n  // note\n  \"a\": \"http://x\" // y\n}", "{\n  \"a\": \"http://x\"\n}");
        check("{\u{201c}a\u{201d}: 1}", "{\"a\": 1}");
        check("{\"a\": \"C:\\Users\\me\"}", "{\"a\": \"C:\\\\Users\\\\me\"}");
        check("{\n\"a\": 1\n\"b\": {}\n\"c\": 2\n}", "{\n\"a\": 1,\n\"b\": {},\n\"c\": 2\n}");
        check("{\"a\": 1, // one\n \"b\": 2,\n}", "{\"a\": 1,\n \"b\": 2\n}");
        assert!(json("{\"a\": ").is_none() && json("hello").is_none());
    }

    #[test]
    fn encodings_are_told_by_their_first_bytes() {
        let text = |bytes: &[u8]| decoded(bytes).map(|repaired| repaired.text);
        assert_eq!(text(b"\xef\xbb\xbf{}").as_deref(), Some("{}"));
        assert_eq!(text(b"\xff\xfe{\0}\0").as_deref(), Some("{}"));
        assert_eq!(text(b"\xfe\xff\0{\0}").as_deref(), Some("{}"));
        assert_eq!(text(b"\xff\xff"), None);
    }
}
