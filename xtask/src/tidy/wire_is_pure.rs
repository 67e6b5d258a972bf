//! Rule: `wire` says what bytes mean; it opens nothing, waits for nothing and asks no clock.

use crate::tree::{Problem, Tree};

const FOLDER: &str = "crates/wire/src";
const FORBIDDEN: [&str; 10] = [
    "async fn",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "UdpSocket",
    "SystemTime",
    "Instant::",
    "tokio::",
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.under(FOLDER).filter(|file| file.extension() == "rs" && !file.is_test()) {
        for (number, line) in file.code_lines() {
            if let Some(what) = FORBIDDEN.into_iter().find(|what| line.contains(what)) {
                let what = format!("`{what}` in wire, which does no IO");
                let mend = "let the caller do it, and take bytes or a value";
                problems.push(Problem::new(&file.path, number, what, mend));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_and_reading_are_found_in_code_and_not_in_words_or_tests() {
        let text = "//! Frames.\n// no async fn here\npub async fn read() {}\n\
                    use std::fs;\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        let found = check(&Tree::of(&[
            ("crates/wire/src/frame/mod.rs", text),
            ("crates/wire/src/frame/tests.rs", text),
            ("crates/storage/src/lib.rs", text),
        ]));
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("crates/wire/src/frame/mod.rs:3: `async fn`"), "{lines:?}");
    }
}
