//! Rule: a path in the documents leads somewhere.

use crate::tree::{File, Problem, Tree};

/// The documents that stand at the root; every page under `docs` is read too. The changelog is
/// not: it may name what is gone.
const PAGES: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let docs = tree.under("docs").filter(|file| file.extension() == "md");
    PAGES
        .iter()
        .filter_map(|path| tree.file(path))
        .chain(docs)
        .flat_map(|page| check_page(tree, page))
        .collect()
}

fn check_page(tree: &Tree, page: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut fenced = false;
    for (number, line) in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in links(line).filter(|target| !leads_somewhere(tree, page, target)) {
            let what = format!("the link to `{target}` leads nowhere");
            problems.push(Problem::new(&page.path, number, what, "mend the path"));
        }
        for span in line.split('`').skip(1).step_by(2).filter(|span| !is_there(tree, span)) {
            let what = format!("there is no `{span}`");
            problems.push(Problem::new(&page.path, number, what, "name what is there"));
        }
    }
    problems
}

/// The targets of the links on a line: `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ']).next()?;
        (!target.is_empty()).then_some(target)
    })
}

fn leads_somewhere(tree: &Tree, page: &File, target: &str) -> bool {
    let (path, _) = target.split_once('#').unwrap_or((target, ""));
    if path.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return true;
    }
    let mut parts: Vec<&str> = page.path.split('/').collect();
    parts.pop();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    tree.has(&parts.join("/"))
}

/// Whether a span of code names nothing of the tree, or something that is there.
///
/// A span is taken for a path when its first part is a folder of the root or a crate; a word in
/// capitals is a place to fill in, and a star stands for many.
fn is_there(tree: &Tree, span: &str) -> bool {
    let path = span.trim_end_matches('/');
    let path = match path.rsplit_once(':') {
        Some((path, line)) if line.bytes().all(|b| b.is_ascii_digit()) => path,
        _ => path,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let Some((first, rest)) = path.split_once('/') else { return true };
    if first.is_empty() || !path.chars().all(plain) || has_place(path) {
        return true;
    }
    let of_root = tree.has(first);
    let second = rest.split('/').next().unwrap_or_default();
    let in_crate = tree.has(&format!("crates/{first}"));
    let of_crate = in_crate && (second == "src" || second == "tests");
    !(of_root || of_crate) || tree.has(path) || tree.has(&format!("crates/{path}"))
}

/// A part of the path is a word to fill in, such as `NAME`.
fn has_place(path: &str) -> bool {
    path.split(['/', '.'])
        .any(|part| part.len() > 1 && part.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn found(page: &str, text: &str, expected: &[&str]) {
        let found = check(&Tree::of(&[
            (page, text),
            ("crates/wire/src/dialect/mod.rs", ""),
            ("docs/glossary.md", ""),
        ]));
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        assert!(lines.iter().zip(expected).all(|(line, start)| line.starts_with(start)));
    }

    #[test]
    fn links_lead_somewhere_from_where_the_page_stands() {
        let text = "[a](docs/glossary.md#words) [b](https://x.y/z) [c](#here)\n[d](docs/gone.md)\n";
        found("README.md", text, &["README.md:2: the link to `docs/gone.md`"]);
        found(
            "docs/b.md",
            "[a](glossary.md) [b](../crates/wire/src) [c](../README.md)\n",
            &["docs/b.md:1: the link to `../README.md`"],
        );
    }

    #[test]
    fn paths_in_code_are_there_from_the_root_or_from_a_crate() {
        let text = "`crates/wire/src/dialect/mod.rs:12`, `wire/src/dialect/`, `wire/src/gone.rs`\n\
                    `docs/gone.md` `/api/v1/contexts` `tools/call` `a/b` `docs/*.md`\n\
                    `crates/wire/src/dialect/NAME.rs`\n";
        let expected = ["ARCHITECTURE.md:1: there is no `wire/src/gone.rs`", "ARCHITECTURE.md:2:"];
        found("ARCHITECTURE.md", text, &expected);
    }

    #[test]
    fn what_stands_in_a_fence_is_a_transcript() {
        found("README.md", "```\n[a](gone.md) `docs/gone.md`\n```\n", &[]);
    }
}
