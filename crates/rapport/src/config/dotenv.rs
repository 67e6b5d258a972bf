//! Reads `.env` files: `NAME=value` lines with comments, quotes and an optional `export`.

/// One line of a `.env` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The variable's name.
    pub(crate) name: String,
    /// Its value without quotes.
    pub(crate) value: String,
    /// The line, from 1.
    pub(crate) line: u64,
}

/// A line that is no assignment: its number and what is wrong with it.
pub(crate) type Broken = (u64, String);

/// Reads all assignments of `text`, and the lines that are none.
pub(crate) fn read(text: &str) -> (Vec<Assignment>, Vec<Broken>) {
    let mut found = Vec::new();
    let mut broken = Vec::new();
    for (number, line) in (1_u64..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        match assignment(line) {
            Ok((name, value)) => found.push(Assignment { name, value, line: number }),
            Err(problem) => broken.push((number, problem)),
        }
    }
    (found, broken)
}

fn assignment(line: &str) -> Result<(String, String), String> {
    let Some((name, value)) = line.split_once('=') else {
        return Err("has no `=`: write NAME=value".to_owned());
    };
    let name = name.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!("`{name}` is no variable name: use letters, digits and `_`"));
    }
    Ok((name.to_owned(), unquote(value.trim())?))
}

fn unquote(value: &str) -> Result<String, String> {
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        // A comment after a bare value begins with white space and `#`.
        let bare = value.split_once(" #").map_or(value, |(before, _)| before);
        return Ok(bare.trim_end().to_owned());
    };
    let mut text = String::new();
    let mut characters = value.chars().skip(1);
    while let Some(character) = characters.next() {
        if character == quote {
            return Ok(text);
        }
        if character == '\\' && quote == '"' {
            match characters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => break,
            }
        } else {
            text.push(character);
        }
    }
    Err(format!("a quote is not closed: end the value with {quote}"))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[track_caller]
    fn check(line: &str, name: &str, value: &str) {
        let (found, broken) = read(line);
        assert!(broken.is_empty(), "{broken:?}");
        assert_eq!(
            found.iter().map(|a| (a.name.as_str(), a.value.as_str())).collect::<Vec<_>>(),
            [(name, value)]
        );
    }

    #[test]
    fn reads_the_usual_ways_to_write_a_variable() {
        check("PORT=61900", "PORT", "61900");
        check("export PORT = 61900 # home", "PORT", "61900");
        check("KEY=\"a b#c\\\"d\"", "KEY", "a b#c\"d");
        check("KEY='raw \\n'  # comment", "KEY", "raw \\n");
        check("URL=http://x/#part", "URL", "http://x/#part");
        check("EMPTY=", "EMPTY", "");
    }

    #[test]
    fn a_broken_line_is_named_and_the_others_still_count() {
        let (found, broken) = read("# c\n\nA=1\nnonsense\nB=\"open\nC=3\r\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].line, 6);
        assert_eq!(broken.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 5]);
    }
}
