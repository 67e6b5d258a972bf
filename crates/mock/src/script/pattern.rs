//! Patterns with `*` and `?`, compared without regard to case.

/// Whether the whole text has the form of the pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().flat_map(char::to_lowercase).collect();
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    run(&pattern, &text)
}

/// Like `matches`, but a pattern without wildcards may stand anywhere in the text.
pub(super) fn within(pattern: &str, text: &str) -> bool {
    if pattern.contains(['*', '?']) {
        matches(pattern, text)
    } else {
        text.to_lowercase().contains(&pattern.to_lowercase())
    }
}

/// Remembers only the last star, so that the time is at most pattern times text.
fn run(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
}
