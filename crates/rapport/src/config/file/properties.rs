//! Java-style properties: `server.port=61900` lines.

use super::{Broken, Node, What};

pub(super) fn read(text: &str) -> Result<Node, Broken> {
    let mut entries = Vec::new();
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let Some((name, value)) = line.split_once(['=', ':']) else {
            return Err(Broken {
                line: Some(number),
                column: Some(1),
                problem: format!("`{line}` has no `=`: write name=value"),
            });
        };
        let what = match value.trim() {
            "" => What::Nothing,
            value => What::Text(value.to_owned()),
        };
        // Names keep their dots; the caller joins paths with dots anyway.
        entries.push((name.trim().to_owned(), Node { line: Some(number), what }));
    }
    Ok(Node { line: Some(1), what: What::Map(entries) })
}
