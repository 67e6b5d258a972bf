//! Reads a file as text, or says why a program could not.

use std::path::Path;

use super::{FILE_BYTES_MAX, verdict};
use crate::report::{Fix, Verdict};

pub(super) fn read(path: &Path) -> Result<String, Box<Verdict>> {
    let shown = path.display().to_string();
    if shown.ends_with(".json.txt") {
        return Err(wrong_name(&shown, shown.trim_end_matches(".txt")));
    }
    let length = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(unreadable(&shown, "it is no file")),
        Err(error) => {
            let twin = format!("{shown}.txt");
            if Path::new(&twin).is_file() {
                return Err(wrong_name(&twin, &shown));
            }
            if error.kind() == std::io::ErrorKind::NotFound {
                return Err(absent(&shown, &error.to_string()));
            }
            return Err(unreadable(&shown, &error.to_string()));
        }
    };
    if length > FILE_BYTES_MAX {
        return Err(unreadable(&shown, "it is too large for a configuration (4 MiB)"));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(&shown, &error.to_string()))?;
    decode(&shown, &bytes)
}

fn decode(shown: &str, bytes: &[u8]) -> Result<String, Box<Verdict>> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Box::new(verdict(
            "config.encoding",
            format!("the file {shown} is UTF-16, and programs read UTF-8"),
            "its first bytes are ff fe or fe ff",
            Fix::run("save it as UTF-8", format!("iconv -f UTF-16 -t UTF-8 {shown}")),
        )));
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Err(Box::new(verdict(
            "config.bom",
            format!("the file {shown} begins with a byte-order mark, which many readers refuse"),
            "its first bytes are ef bb bf",
            Fix::run(
                "save it as UTF-8 without one",
                format!("sed -i '1s/^\\xEF\\xBB\\xBF//' {shown}"),
            ),
        )));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(error) => {
            let at = error.valid_up_to();
            let before = bytes.get(..at).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            return Err(Box::new(verdict(
                "config.encoding",
                format!("the file {shown} is not UTF-8"),
                &format!("byte {at}, in line {line}, is {:02x}", bytes.get(at).unwrap_or(&0)),
                Fix::run("save it as UTF-8", format!("iconv -f LATIN1 -t UTF-8 {shown}")),
            )));
        }
    };
    if text.trim().is_empty() {
        return Err(Box::new(verdict(
            "config.empty",
            format!("the file {shown} is empty"),
            &format!("it has {} bytes and no content", bytes.len()),
            Fix::say("write {\"mcpServers\": {}} when it is a list of MCP servers, or remove it"),
        )));
    }
    Ok(text)
}

fn wrong_name(found: &str, wanted: &str) -> Box<Verdict> {
    Box::new(verdict(
        "config.wrong_file_name",
        format!("the file is called {found}, and programs look for {wanted}"),
        "a second ending was added when it was saved",
        Fix::run("rename it", format!("mv {found} {wanted}")),
    ))
}

fn absent(shown: &str, reason: &str) -> Box<Verdict> {
    Box::new(verdict(
        "config.no_file",
        format!("there is no file {shown}"),
        reason,
        Fix::say("check the path: a relative one begins in the folder of this command"),
    ))
}

fn unreadable(shown: &str, reason: &str) -> Box<Verdict> {
    Box::new(verdict(
        "config.no_file",
        format!("the file {shown} cannot be read"),
        reason,
        Fix::say("check the path, and who may read it"),
    ))
}
