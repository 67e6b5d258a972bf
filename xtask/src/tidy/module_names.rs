//! Rule: a module is called after what it holds, never after the fact that it holds something.

use crate::tree::{Problem, Tree};

const EMPTY_NAMES: [&str; 10] =
    ["utils", "util", "common", "helpers", "helper", "misc", "types", "manager", "core", "shared"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.with_extension(&["rs"])
        .filter_map(|file| {
            let folder = file.path.rsplit('/').nth(1).unwrap_or_default();
            let name = if file.name() == "mod.rs" { folder } else { file.stem() };
            let what = format!("`{name}` does not say what the module holds");
            EMPTY_NAMES
                .contains(&name)
                .then(|| Problem::new(&file.path, 1, what, "name the thing or the step"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_says_nothing_is_found_as_file_and_as_folder() {
        let found = check(&Tree::of(&[
            ("crates/gateway/src/utils.rs", ""),
            ("crates/gateway/src/common/mod.rs", ""),
            ("crates/gateway/src/limits/mod.rs", ""),
            ("crates/gateway/src/limits/rate.rs", ""),
        ]));
        assert_eq!(found.len(), 2);
    }
}
