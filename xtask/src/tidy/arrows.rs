//! Rule: a crate depends only along the arrows of the house, so that none can turn round.

use crate::tree::{Problem, Tree};

/// Each crate of ours and the crates of ours it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "rapport",
        &[
            "gateway", "doctor", "inspect", "mock", "context", "catalog", "ledger", "mcp",
            "native", "storage", "wire",
        ],
    ),
    ("gateway", &["context", "catalog", "ledger", "mcp", "storage", "wire"]),
    ("context", &["storage", "wire"]),
    ("catalog", &["storage", "wire"]),
    ("ledger", &["storage", "wire"]),
    ("mcp", &["native", "wire"]),
    ("storage", &["native", "wire"]),
    ("mock", &[]),
    ("bench", &["mock"]),
    ("doctor", &["native"]),
    ("inspect", &["wire"]),
    ("wire", &[]),
    ("native", &[]),
    ("xtask", &[]),
];
/// A crate that any test may use: it plays the upstream.
const FOR_TESTS: &str = "mock";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let ours = |name: &str| ARROWS.iter().any(|(known, _)| *known == name);
    let mut problems = Vec::new();
    for manifest in tree.manifests() {
        let path = &manifest.file.path;
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == manifest.name) else {
            let what = format!("the crate `{}` stands nowhere in the house", manifest.name);
            let mend = "give it its arrows in xtask/src/tidy/arrows.rs and in ARCHITECTURE.md";
            problems.push(Problem::new(path, manifest.file.line_of("name"), what, mend));
            continue;
        };
        for dependency in manifest.dependencies() {
            let name = dependency.name;
            let for_tests = dependency.for_tests && name == FOR_TESTS;
            if ours(name) && !allowed.contains(&name) && !for_tests {
                let line = manifest.file.lines().find(|(_, line)| line.starts_with(name));
                let what = format!("`{}` must not know `{name}`", manifest.name);
                let mend = "move what is shared down, or let `rapport` bring the two together";
                problems.push(Problem::new(path, line.map_or(1, |(n, _)| n), what, mend));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_arrow_that_turns_round_is_found() {
        let text = "[package]\nname = \"wire\"\n[dependencies]\nserde = \"1\"\nstorage = \"1\"\n";
        let found = found("crates/wire/Cargo.toml", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/wire/Cargo.toml:5: `wire` must not know `storage`"));
    }

    #[test]
    fn a_test_may_use_the_mock_and_nothing_else() {
        let head = "[package]\nname = \"gateway\"\n[dev-dependencies]\n";
        let path = "crates/gateway/Cargo.toml";
        assert!(found(path, &format!("{head}mock.workspace = true\n")).is_empty());
        assert_eq!(found(path, &format!("{head}doctor.workspace = true\n")).len(), 1);
    }

    #[test]
    fn a_crate_without_arrows_is_found() {
        assert_eq!(found("crates/new/Cargo.toml", "[package]\nname = \"new\"\n").len(), 1);
    }
}
