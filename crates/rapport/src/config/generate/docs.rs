//! The reference page docs/config.md.

use std::fmt::Write;

use super::super::env::VARIABLES;
use super::super::keys::{ALIASES, Change, Key};
use super::{about, groups};

const HEAD: &str = "\
# Configuration

*Made by `rapport config docs` from the table of keys in the code; a test compares the two.*

Rapport starts without any configuration. What you set comes from, in this order (the first wins):

1. command-line flags (`--port 8080`),
2. environment variables (`RAPPORT_SERVER_PORT=8080`),
3. `.env` in the working directory, then `.env` in the data folder,
4. the configuration file, its selected profile before the rest,
5. the default.

The file is `--config FILE` (or `RAPPORT_CONFIG`), else `rapport.yaml`, `.yml`, `.json`, `.toml` or \
`.properties` in the working directory, else the same in the user's configuration folder \
(`~/.config/rapport`).

| command | what it does |
|---|---|
| `rapport config init` | writes a commented `rapport.yaml` and its JSON Schema; `--all` also `.env.example`, \
`.gitignore` lines, `compose.yaml`, `Dockerfile` |
| `rapport config check` | says everything that is wrong, each with its place, and exits with 1 (3 for a port that is no port) |
| `rapport config show --origin` | every value, the source that set it, and the sources it overrode |
| `rapport config drift` | what differs between the running server and the files |
| `rapport config fix` | replaces ports that are none in the file, after showing the difference; keeps a copy |
| `rapport config schema` · `docs` | the JSON Schema · this page |

An unknown key is an error that names the nearest known one. All problems are reported together. The server reads \
everything again on SIGHUP and when a file changes: all of it counts, or, when something is wrong, nothing. Keys \
marked *restart* wait for the next start, and the log says so.

**Secrets** stay out of the file: `${NAME}` takes an environment variable (`${NAME:-otherwise}` has a default, `$${` \
stays as it is), `file:PATH` the one line of a file. They are never printed. A secret in a file that others can \
read gives a warning.

**Profiles** hold differences for one purpose: `profiles: {test: {data: {store: memory}}}`, selected by \
`--profile test` or `RAPPORT_PROFILE=test`.

Relative paths start from the folder of the file they are written in. Times are `30s`, `500ms`, `2m` or seconds; sizes \
are bytes or `4 MiB`.
";

const EXITS: &str = "
## Exit codes

| code | meaning |
|---|---|
| 0 | fine |
| 1 | a problem was found; the server could not start |
| 2 | wrong usage, or a configuration that cannot be used |
| 3 | a port that is no port |
| 4 | connection refused |
| 5 | timeout |
| 6 | the other side speaks something else |
| 7 | a key is missing or not enough |
| 8 | the server answered with an error |
| 9 | could not be checked |

`rapport doctor` has its own: 0 healthy, 1 a named fault, 2 wrong usage, 3 broken for an uncertain reason.
";

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
        "\nThe longer name wins over the shorter one. Variables that Kubernetes sets for a service \
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
