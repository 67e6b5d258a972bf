//! A `Cargo.toml`, read for the rules about crates and what they depend on.

use toml::{Table, Value};

use super::File;

/// The manifest of one crate.
#[derive(Clone, Debug)]
pub(crate) struct Manifest<'t> {
    /// Where it stands.
    pub(crate) file: &'t File,
    /// The name of the crate.
    pub(crate) name: String,
    table: Table,
}

/// One entry of a table of dependencies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dependency<'m> {
    /// The name it has in the manifest.
    pub(crate) name: &'m str,
    /// Only tests see it.
    pub(crate) for_tests: bool,
    /// It is taken from the workspace's table.
    pub(crate) from_workspace: bool,
}

impl<'t> Manifest<'t> {
    /// Reads a manifest that names a crate; the workspace's own has no name.
    pub(super) fn read(file: &'t File) -> Option<Self> {
        let table: Table = file.text.parse().ok()?;
        let name = table.get("package")?.get("name")?.as_str()?.to_owned();
        Some(Self { file, name, table })
    }

    /// Whether the lints of the workspace hold in the crate.
    pub(crate) fn has_workspace_lints(&self) -> bool {
        self.table.get("lints").is_some_and(from_workspace)
    }

    /// What the crate depends on, for every target.
    pub(crate) fn dependencies(&self) -> Vec<Dependency<'_>> {
        let targets = self.table.get("target").and_then(Value::as_table);
        let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
        std::iter::once(&self.table)
            .chain(targets)
            .flat_map(|table| {
                ["dependencies", "build-dependencies", "dev-dependencies"]
                    .into_iter()
                    .filter_map(|kind| Some((kind, table.get(kind)?.as_table()?)))
            })
            .flat_map(|(kind, entries)| {
                entries.iter().map(move |(name, value)| Dependency {
                    name,
                    for_tests: kind == "dev-dependencies",
                    from_workspace: from_workspace(value),
                })
            })
            .collect()
    }
}

fn from_workspace(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_every_kind_and_target_are_seen() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nb = \"1\"\n\
                    [target.'cfg(unix)'.dependencies]\nc.workspace = true\n\
                    [dev-dependencies]\nd = { workspace = true, features = [\"x\"] }\n";
        let file = File { path: "crates/a/Cargo.toml".into(), text: text.into() };
        let manifest = Manifest::read(&file).unwrap();
        let seen = manifest.dependencies();
        let seen = seen.iter().map(|d| (d.name, d.for_tests, d.from_workspace));
        let expected = [("b", false, false), ("d", true, true), ("c", false, true)];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        assert!(!manifest.has_workspace_lints());
    }
}
