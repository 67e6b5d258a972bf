//! Rule: a file in a folder that is a list stands in that list, or serves a file that does.

use crate::tree::{Problem, Tree};

/// Folders where a feature is one file and one line in the list of `mod.rs`.
const FOLDERS: [&str; 6] = [
    "crates/doctor/src/check",
    "crates/gateway/src/provider",
    "crates/gateway/src/surface",
    "crates/rapport/src/command",
    "crates/wire/src/dialect",
    "xtask/src/tidy",
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    FOLDERS.iter().flat_map(|folder| check_folder(tree, folder)).collect()
}

fn check_folder(tree: &Tree, folder: &str) -> Vec<Problem> {
    let list_path = format!("{folder}/mod.rs");
    if tree.file(&list_path).is_none() {
        let what = format!("the folder `{folder}` has no list");
        let problem = Problem::new(&list_path, 1, what, "add a `mod.rs` with the list");
        return if tree.has(folder) { vec![problem] } else { Vec::new() };
    }
    tree.names_in(folder)
        .filter_map(|name| entry_name(tree, folder, name).map(|entry| (name, entry)))
        .filter(|(_, entry)| !is_named(tree, folder, entry))
        .map(|(name, entry)| {
            let what = format!("`{entry}` is not in the list of `{list_path}`");
            let mend = format!("add its line (`{entry}::…`) to the list, or delete it");
            Problem::new(&format!("{folder}/{name}"), 1, what, mend)
        })
        .collect()
}

/// The module behind a name in the folder; none for the list itself, for tests and for data.
fn entry_name<'n>(tree: &Tree, folder: &str, name: &'n str) -> Option<&'n str> {
    let module = match name.strip_suffix(".rs") {
        Some(module) => module,
        None if tree.has(&format!("{folder}/{name}/mod.rs")) => name,
        None => return None,
    };
    (!matches!(module, "mod" | "tests")).then_some(module)
}

/// Code of the folder outside the module itself names something of it: the list does, or an entry
/// of the list that the module serves.
fn is_named(tree: &Tree, folder: &str, module: &str) -> bool {
    let own_file = format!("{folder}/{module}.rs");
    let own_folder = format!("{folder}/{module}/");
    tree.under(folder)
        .filter(|file| file.path != own_file && !file.path.starts_with(&own_folder))
        .filter(|file| file.extension() == "rs" && !file.is_test())
        .flat_map(|file| file.code_lines())
        .any(|(_, line)| names(line, module))
}

/// `module::` stands on the line, and is not the end of a longer name.
fn names(line: &str, module: &str) -> bool {
    line.match_indices(&format!("{module}::")).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_nobody_lists_is_found() {
        let list = "//! L.\nmod address;\nmod connect;\n// connect::Connect\n\
                    pub const CHECKS: &[&dyn Check] = &[&address::Address, &reconnect::X];\n";
        let found = check(&Tree::of(&[
            ("crates/doctor/src/check/mod.rs", list),
            ("crates/doctor/src/check/address.rs", ""),
            ("crates/doctor/src/check/connect.rs", ""),
            ("crates/doctor/src/check/tests.rs", ""),
            ("crates/doctor/src/check/texts.toml", ""),
        ]));
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("crates/doctor/src/check/connect.rs:1: `connect`"));
    }

    #[test]
    fn a_file_that_serves_an_entry_needs_no_line_of_its_own() {
        let list = "mod fields;\nmod gemini;\nmod lonely;\nconst ALL: &[D] = &[gemini::D];\n";
        let found = check(&Tree::of(&[
            ("crates/wire/src/dialect/mod.rs", list),
            ("crates/wire/src/dialect/gemini.rs", "use super::fields;\nfields::read();\n"),
            ("crates/wire/src/dialect/fields.rs", "fields::own();\n"),
            ("crates/wire/src/dialect/lonely.rs", "lonely::own();\n"),
        ]));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("`lonely`"));
    }

    #[test]
    fn a_folder_may_be_an_entry_and_must_be_listed_too() {
        let found = check(&Tree::of(&[
            ("crates/wire/src/dialect/mod.rs", "mod anthropic;\n"),
            ("crates/wire/src/dialect/anthropic/mod.rs", ""),
            ("crates/wire/src/dialect/anthropic/read.rs", ""),
        ]));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_folder_without_a_list_is_found() {
        let found = check(&Tree::of(&[("crates/gateway/src/provider/openai.rs", "")]));
        assert_eq!(found.len(), 1);
    }
}
