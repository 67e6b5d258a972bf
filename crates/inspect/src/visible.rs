//! Text of strangers on a terminal: what would command it is shown as what it is.

/// A line in which nothing moves a cursor, colours, rings, or turns the direction of writing: such
/// characters become `\\x1b` and the like. Tabs and line ends stay.
#[must_use]
pub fn visible(text: &str) -> String {
    if !text.chars().any(is_hidden) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            let code = u32::from(c);
            out.push_str(&if code < 0x100 {
                format!("\\x{code:02x}")
            } else {
                format!("\\u{{{code:x}}}")
            });
        } else {
            out.push(c);
        }
    }
    out
}

/// Controls of both sets, and what makes text look like other text: directions, joiners without
/// width, marks of interlinear notes.
fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn what_would_command_a_terminal_is_written_out() {
        assert_eq!(visible("plain\ttext\nä→"), "plain\ttext\nä→");
        assert_eq!(visible("\x1b[2J\x1b]0;x\x07\r"), "\\x1b[2J\\x1b]0;x\\x07\\x0d");
        assert_eq!(visible("\u{9b}31m\u{202e}gpj.exe"), "\\x9b31m\\u{202e}gpj.exe");
    }
}
