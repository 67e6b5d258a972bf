//! The reference page docs/config.md.

use std::fmt::Write;

use super::super::env::VARIABLES;
use super::super::keys::{ALIASES, Change, Key};
use super::{about, groups};

/// How settings are found, in words.
const HEAD: &str = include_str!("head.md");

/// What exit codes mean.
const EXITS: &str = include_str!("exits.md");

/// The page.
pub(crate) fn docs() -> String {
    let mut page = HEAD.to_owned();
    for (group, keys) in groups() {
        let title = if group.is_empty() { "top level" } else { group };
        line(&mut page, &format!("\n## {title}\n\n{}\n", about(group)));
        page.push_str("| key | default | what it is | changes |\n|---|---|---|---|\n");
        for key in keys {
            line(&mut page, &row(key));
        }
    }
    page.push_str(
        "\n## Environment variables\n\nEvery key has one: `RAPPORT_` and the key in capitals, \
         with `_` for each dot (`RAPPORT_LIMITS_BODY_BYTES`, \
         `RAPPORT_PROVIDERS_OLLAMA_BASE_URL`). Lists are separated by commas. Beside them:\n\n\
         | variable | key | what it does |\n|---|---|---|\n",
    );
    for variable in VARIABLES {
        let key = match variable.key {
            "" => String::new(),
            key => format!("`{key}`"),
        };
        line(&mut page, &format!("| `{}` | {key} | {} |", variable.name, variable.doc));
    }
    page.push_str(
        "\nThe variables of the other known providers' keys (`GROQ_API_KEY`, `GEMINI_API_KEY`, \
         `OLLAMA_HOST` …) are in [providers.md](providers.md).\n\n\
         The longer name wins over the shorter one. Variables that Kubernetes sets for a service \
         named `rapport` (`RAPPORT_SERVICE_HOST`, `RAPPORT_PORT=tcp://…`) are left alone.\n\n\
         ## Other names\n\nNames that other programs use are understood in files; `config show \
         --origin` says which was used.\n\n| name | key |\n|---|---|\n",
    );
    for (alias, path) in ALIASES {
        line(&mut page, &format!("| `{alias}` | `{path}` |"));
    }
    page.push_str(
        "\n`server_address` and `api_endpoint` hold an address, with or without a scheme, and set \
         host and port.\n",
    );
    page.push('\n');
    page.push_str(EXITS);
    page
}

fn row(key: &Key) -> String {
    let default = match key.default {
        "" => String::new(),
        default => format!("`{default}`"),
    };
    let change = match key.change {
        Change::Live => "live",
        Change::Restart => "restart",
    };
    let expected = key.kind.expected();
    format!("| `{}` | {default} | {} *({expected})* | {change} |", key.path, key.doc)
}

fn line(page: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _written = writeln!(page, "{text}");
}
