//! Rule: no provider translates, and no dialect knows a provider.

use crate::tree::{File, Problem, Tree};

const PROVIDERS: &str = "crates/gateway/src/provider";
const DIALECTS: &str = "crates/wire/src/dialect";
/// Companies and engines that speak somebody else's dialect: one that a dialect names got a
/// special case there that belongs in a row of the providers.
const PROVIDER_NAMES: [&str; 16] = [
    "azure",
    "bedrock",
    "cerebras",
    "cohere",
    "deepseek",
    "fireworks",
    "groq",
    "llama_cpp",
    "lm_studio",
    "mistral",
    "openrouter",
    "sglang",
    "together",
    "vertex",
    "vllm",
    "xai",
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let dialects: Vec<&str> = tree
        .names_in(DIALECTS)
        .map(|name| name.strip_suffix(".rs").unwrap_or(name))
        .filter(|name| !matches!(*name, "mod" | "tests"))
        .collect();
    let code = |file: &&File| file.extension() == "rs" && !file.is_test();
    let providers = tree.under(PROVIDERS).filter(code);
    let mut problems: Vec<Problem> =
        providers.flat_map(|file| translations(file, &dialects)).collect();
    problems.extend(tree.under(DIALECTS).filter(code).flat_map(special_cases));
    problems
}

/// Places where a provider reaches into the module of a dialect.
fn translations(file: &File, dialects: &[&str]) -> Vec<Problem> {
    file.code_lines()
        .filter_map(|(number, line)| {
            let reached = line.split("dialect::").skip(1).flat_map(first_words);
            let dialect = reached.into_iter().find(|word| dialects.contains(word))?;
            let what = format!("a provider that uses the module of the dialect `{dialect}`");
            let mend = "name the dialect as a value; translation happens once, in the flow";
            Some(Problem::new(&file.path, number, what, mend))
        })
        .collect()
}

/// The names right after `dialect::`: one, or those of a group in braces.
fn first_words(rest: &str) -> Vec<&str> {
    let name = |c: char| c.is_alphanumeric() || c == '_';
    match rest.strip_prefix('{') {
        Some(group) => {
            let group = group.split('}').next().unwrap_or_default();
            group.split(|c| !name(c)).filter(|word| !word.is_empty()).collect()
        }
        None => rest.split(|c| !name(c)).take(1).collect(),
    }
}

/// Places where a dialect names a provider or reaches up to where the providers are.
fn special_cases(file: &File) -> Vec<Problem> {
    file.code_lines()
        .filter_map(|(number, line)| {
            let lower = line.to_lowercase();
            let code = lower.split(" // ").next().unwrap_or_default();
            let words = || code.split(|c: char| !c.is_alphanumeric() && c != '_');
            let named = PROVIDER_NAMES.into_iter().find(|name| words().any(|word| word == *name));
            let reaches = ["gateway::", "provider::"].into_iter().find(|path| code.contains(path));
            let name = named.or(reaches)?;
            let what = format!("a dialect that knows the provider `{name}`");
            let mend = "say in the provider's row what differs, or give the difference a name";
            Some(Problem::new(&file.path, number, what, mend))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let dialect = [("crates/wire/src/dialect/anthropic.rs", "//! A.\n")];
        let files: Vec<_> = dialect.iter().chain(files).copied().collect();
        check(&Tree::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_provider_that_translates_is_found() {
        let path = "crates/gateway/src/provider/claude.rs";
        let name_only = "//! P.\nuse wire::Dialect;\nlet d = Dialect::Anthropic;\n";
        assert!(found(&[(path, name_only)]).is_empty());
        let module = "//! P.\nuse wire::dialect::{Dialect, anthropic};\n";
        let lines = found(&[(path, module)]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("crates/gateway/src/provider/claude.rs:2:"), "{lines:?}");
        assert_eq!(found(&[(path, "//! P.\nwire::dialect::anthropic::read(b);\n")]).len(), 1);
    }

    #[test]
    fn a_dialect_with_a_special_case_is_found() {
        let path = "crates/wire/src/dialect/openai_chat.rs";
        let lines = found(&[(path, "//! D.\n// Groq sends it twice.\nif name == \"Groq\" {}\n")]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("openai_chat.rs:3: a dialect that knows the provider `groq`"));
        assert_eq!(found(&[(path, "//! D.\nuse gateway::provider::Provider;\n")]).len(), 1);
    }
}
