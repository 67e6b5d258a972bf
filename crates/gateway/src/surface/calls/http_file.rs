//! The file `.http`, which VS Code (REST Client), the IDEs of `JetBrains` and others send.

use std::fmt::Write as _;

use super::{calls, examples};

/// Every call as one file of requests.
#[must_use]
pub fn http_file() -> String {
    let mut out = String::from(
        "# Every call of Rapport's HTTP API. Printed by `rapport api http`.\n\
         # Set `key` when keys were made; on this machine alone none is needed.\n\n",
    );
    for (name, value) in &examples().variables {
        let _written = writeln!(out, "@{name} = {}", value.as_str().unwrap_or_default());
    }
    for call in calls() {
        let _written = write!(
            out,
            "\n### {}: {}\n{} {{{{host}}}}{}\n",
            call.group, call.summary, call.method, call.path
        );
        for (name, value) in &call.headers {
            let _written = writeln!(out, "{name}: {value}");
        }
        if let Some(body) = &call.body {
            let _written = write!(out, "\n{body:#}\n");
        }
    }
    out
}
