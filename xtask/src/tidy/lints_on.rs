//! Rule: the lints of the workspace hold in every crate.

use crate::tree::{Problem, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.manifests()
        .filter(|manifest| !manifest.has_workspace_lints())
        .map(|manifest| {
            let what = format!("the lints of the workspace do not hold in `{}`", manifest.name);
            let mend = "add `[lints]` with `workspace = true`";
            Problem::new(&manifest.file.path, 1, what, mend)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let bare = "[package]\nname = \"a\"\n";
        let own = "[package]\nname = \"b\"\n[lints.rust]\nunsafe_code = \"allow\"\n";
        let good = "[package]\nname = \"c\"\n[lints]\nworkspace = true\n";
        let found = check(&Tree::of(&[
            ("crates/a/Cargo.toml", bare),
            ("crates/b/Cargo.toml", own),
            ("crates/c/Cargo.toml", good),
        ]));
        assert_eq!(found.len(), 2);
    }
}
