//! Rule: the version of a dependency stands once, in the table of the workspace.

use crate::tree::{Problem, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for manifest in tree.manifests() {
        for dependency in manifest.dependencies().into_iter().filter(|d| !d.from_workspace) {
            let name = dependency.name;
            let line = manifest.file.lines().find(|(_, line)| line.starts_with(name));
            let what = format!("`{name}` does not come from the table of the workspace");
            let mend = format!("write `{name}.workspace = true`, and its version in Cargo.toml");
            let number = line.map_or(1, |(number, _)| number);
            problems.push(Problem::new(&manifest.file.path, number, what, mend));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_or_a_path_in_a_crate_is_found() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nserde.workspace = true\n\
                    http = \"1\"\n[dev-dependencies]\nwire = { path = \"../wire\" }\n";
        let found = check(&Tree::of(&[("crates/a/Cargo.toml", text)]));
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("crates/a/Cargo.toml:5: `http`"), "{lines:?}");
        assert!(lines[1].starts_with("crates/a/Cargo.toml:7: `wire`"), "{lines:?}");
    }

    #[test]
    fn the_table_of_the_workspace_is_where_versions_belong() {
        let text = "[workspace]\n[workspace.dependencies]\nhttp = \"1\"\n";
        assert!(check(&Tree::of(&[("Cargo.toml", text)])).is_empty());
    }
}
