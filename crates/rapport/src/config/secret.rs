//! Secrets: read from files, kept out of configurations, never printed.

use std::path::Path;

use super::problem::Place;
use super::values::{Found, Values};

/// Limit: a secret is a line, not a document.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The secret that `found` stands for, and words that say where it came from.
pub(super) fn resolve(
    path: &str,
    found: &Found,
    values: &mut Values<'_>,
) -> Option<(String, String)> {
    if let Some(file) = found.text.strip_prefix("file:") {
        let file = values.absolute(file, &found.place);
        let source = format!("file {}", file.display());
        values.findings.secrets.push(file.clone());
        return match read(&file) {
            Ok(text) => {
                warn_if_open(&file, values);
                Some((text, source))
            }
            Err(problem) => {
                let text = format!("`{path}`: {} {problem}", file.display());
                values.findings.problem(&found.place, text);
                None
            }
        };
    }
    if super::sealed::is_sealed(&found.text) {
        return super::sealed::open(path, found, values);
    }
    if found.text.contains(['\n', '\r', '\0']) {
        let text = format!("`{path}` has a line break in it: a secret is one line");
        values.findings.problem(&found.place, text);
        return None;
    }
    let source = match (&found.place, found.variables.first()) {
        (_, Some(variable)) => format!("environment {variable}"),
        (Place::Variable(name), None) => format!("environment {name}"),
        (place, None) => place.to_string(),
    };
    // A secret in clear makes the file it stands in a secret.
    if found.variables.is_empty()
        && let Some(file) = found.place.file()
    {
        let file = values.folder.join(file);
        warn_if_open(&file, values);
    }
    Some((found.text.clone(), source))
}

/// The one line of the file `path`.
fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > SECRET_BYTES_MAX {
        return Err(format!("has {length} bytes: a secret is one line"));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let text = text.trim();
    if text.is_empty() {
        return Err("is empty: write the secret into it".to_owned());
    }
    if text.contains(['\n', '\r', '\0']) {
        return Err("has more than one line: a secret is one line".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(unix)]
fn warn_if_open(path: &Path, values: &mut Values<'_>) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(found) = std::fs::metadata(path) else { return };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o044 != 0 {
        let path = path.display();
        values.findings.warn(format!(
            "{path} holds a secret and others can read it (mode {mode:03o}): run `chmod 600 {path}`"
        ));
    }
}

#[cfg(not(unix))]
fn warn_if_open(_path: &Path, _values: &mut Values<'_>) {}
