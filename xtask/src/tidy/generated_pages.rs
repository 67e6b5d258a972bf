//! Rule: a page that the program writes is what the program writes today.

use std::path::Path;

use crate::program;
use crate::tree::{Problem, Tree};

/// A page, and the words after `rapport` that print it.
#[derive(Clone, Copy, Debug)]
struct Page {
    path: &'static str,
    words: &'static [&'static str],
}

const PAGES: &[Page] = &[
    Page { path: "docs/rapport.http", words: &["api", "http"] },
    Page { path: "docs/rapport.postman_collection.json", words: &["api", "postman"] },
];
/// The program as `cargo xtask test` builds it before the tests, and so before this rule.
const PROGRAM: &str = "target/debug/rapport";

/// Compares the pages; without a built program there is nothing to compare with.
pub(super) fn check(root: &Path, tree: &Tree) -> Vec<Problem> {
    let rapport = root.join(PROGRAM);
    if !rapport.is_file() {
        return Vec::new();
    }
    compare(tree, PAGES, |words| program::output(program::command(root, &rapport, words)))
}

fn compare(
    tree: &Tree,
    pages: &[Page],
    print: impl Fn(&[&str]) -> anyhow::Result<String>,
) -> Vec<Problem> {
    pages
        .iter()
        .filter_map(|page| {
            let words = page.words.join(" ");
            let mend = format!("run `{PROGRAM} {words} > {}`", page.path);
            let printed = match print(page.words) {
                Ok(printed) => printed,
                Err(error) => {
                    let mend = format!("make `rapport {words}` print the page");
                    return Some(Problem::new(page.path, 1, format!("{error:#}"), mend));
                }
            };
            let Some(file) = tree.file(page.path) else {
                return Some(Problem::new(page.path, 1, "the page is missing", mend));
            };
            let differs = file.text.lines().zip(printed.lines()).position(|(a, b)| a != b);
            let length = file.text.lines().count().min(printed.lines().count());
            (file.text != printed).then(|| {
                let line = differs.unwrap_or(length) + 1;
                Problem::new(page.path, line, "not what the program prints", mend)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page = Page { path: "docs/config.md", words: &["config", "reference"] };

    fn found(text: &str, printed: &str) -> Vec<String> {
        let tree = Tree::of(&[(PAGE.path, text)]);
        let problems = compare(&tree, &[PAGE], |_| Ok(printed.to_owned()));
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_page_that_is_behind_is_found_where_it_differs() {
        assert!(found("one\ntwo\n", "one\ntwo\n").is_empty());
        assert!(found("one\ntwo\n", "one\n2\n")[0].starts_with("docs/config.md:2: not what"));
        assert!(found("one\n", "one\ntwo\n")[0].starts_with("docs/config.md:2: not what"));
    }

    #[test]
    fn a_page_that_is_gone_or_cannot_be_printed_is_found() {
        let gone = compare(&Tree::of(&[]), &[PAGE], |_| Ok(String::new()));
        assert_eq!(gone.len(), 1);
        let broken = compare(&Tree::of(&[]), &[PAGE], |_| anyhow::bail!("no such command"));
        assert!(broken[0].to_string().contains("no such command"));
    }
}
