//! A command line of Windows is one text: this takes it apart as programs do, and reads moments.

/// 100 ns from 1601 to 1970.
const UNIX_BEGINS: u64 = 116_444_736_000_000_000;

/// A moment in units of 100 ns since 1601, as text in UTC.
pub(in crate::sockets) fn moment(ticks: u64) -> Option<String> {
    let second = i64::try_from(ticks.checked_sub(UNIX_BEGINS)? / 10_000_000).ok()?;
    Some(jiff::Timestamp::from_second(second).ok()?.to_string())
}

/// The words of a command line, as C programs read them: a word ends at a blank outside of quotes;
/// backslashes are themselves, but for those before a quote, of which two are one and an odd one
/// makes the quote a letter; in the first word, the path of the program, they are all themselves.
pub(in crate::sockets) fn words(line: &str) -> Vec<String> {
    let mut rest = line.chars().peekable();
    let mut found = Vec::new();
    let mut program = String::new();
    let mut quoted = false;
    for letter in rest.by_ref() {
        match letter {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => break,
            other => program.push(other),
        }
    }
    if !program.is_empty() {
        found.push(program);
    }
    let (mut word, mut is_word, mut quoted) = (String::new(), false, false);
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => {
                let mut count = 1_usize;
                while rest.next_if_eq(&'\\').is_some() {
                    count += 1;
                }
                is_word = true;
                if rest.peek() == Some(&'"') {
                    word.extend(std::iter::repeat_n('\\', count / 2));
                    if count % 2 == 1 {
                        rest.next();
                        word.push('"');
                    }
                } else {
                    word.extend(std::iter::repeat_n('\\', count));
                }
            }
            '"' => {
                is_word = true;
                // Two quotes inside of quotes are one that is a letter.
                if quoted && rest.next_if_eq(&'"').is_some() {
                    word.push('"');
                } else {
                    quoted = !quoted;
                }
            }
            ' ' | '\t' if !quoted => {
                if is_word {
                    found.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            other => {
                is_word = true;
                word.push(other);
            }
        }
    }
    if is_word {
        found.push(word);
    }
    found
}
