//! What a server of this product says of itself in `/health` and `/ready`: why it cannot store.

use serde_json::Value;

use crate::probe::http::Answer;
use crate::report::{Fix, Verdict};

/// Limit: how much of the server's own words is shown.
const SHOWN_MAX: usize = 160;

/// Words of the store's error, the verdict they mean, and what ends it.
const CAUSES: &[(&str, &str, &str)] = &[
    (
        "the disk is full",
        "store.disk_full",
        "free space there; it is well again with the next thing it stores, without a restart",
    ),
    (
        "may not be written",
        "store.read_only",
        "make it writable for the user of the server; no restart is needed",
    ),
    (
        "is damaged",
        "store.damaged",
        "see what is damaged (rapport doctor --store), then stop the server and go back to a \
         backup (rapport restore FILE)",
    ),
    (
        "disk reports an error",
        "store.disk_error",
        "look into the system log (dmesg) for errors of that disk, and copy the folder elsewhere",
    ),
    (
        "locked by another program",
        "store.locked",
        "close the other program that has the file rapport.db open",
    ),
];

/// Why this server cannot serve, in its own words; `None` when it is another's or says nothing.
pub(in crate::check) fn reason(answer: &Answer) -> Option<String> {
    if answer.status != 503 || !answer.is_rapport() {
        return None;
    }
    let body = answer.json()?;
    let store = body.pointer("/checks/store").filter(|store| store.get("ok") == Some(&NO));
    let said = match store {
        Some(store) => store.get("error")?.as_str()?,
        None => body
            .get("ready")
            .filter(|ready| **ready == NO)
            .and(body.get("missing"))?
            .get(0)?
            .as_str()?,
    };
    let said = said.strip_prefix("store: ").unwrap_or(said);
    (!said.is_empty()).then(|| short(said))
}

/// The JSON value of a check that failed.
const NO: Value = Value::Bool(false);

/// The verdict for such a reason; `folder` is where the server keeps its data, when it is known.
pub(super) fn fault(reason: &str, folder: Option<&str>) -> Verdict {
    let sentence = format!("rapport answers, and cannot serve now: {reason}");
    let known = CAUSES.iter().find(|(words, ..)| reason.contains(words));
    let Some((_, id, cure)) = known else {
        return Verdict::certain("http.503", sentence)
            .fix(Fix::say("mend what it says; its log has the details, at the time of this look"));
    };
    let place = folder.map(|folder| format!("its data folder is {folder}"));
    let verdict = Verdict::certain(id, sentence).because_all(place);
    let shown = folder.map(quoted);
    match (*id, shown) {
        ("store.disk_full", Some(folder)) => {
            verdict.fix(Fix::run(*cure, format!("du -xh {folder} | sort -h | tail")))
        }
        ("store.read_only", Some(folder)) => {
            verdict.fix(Fix::run(*cure, format!("ls -ld {folder} && findmnt -T {folder}")))
        }
        (_, Some(_)) => verdict.fix(Fix::say(*cure)),
        (_, None) => verdict.fix(Fix::run(
            format!("{cure} (on its machine this command names its data folder)"),
            "rapport ports list --own --json",
        )),
    }
}

/// What a server that works says of its default model, when that does not.
pub(super) fn degraded(answer: &Answer) -> Option<String> {
    let body = answer.json().filter(|_| answer.status == 200 && answer.is_rapport())?;
    let provider = body.pointer("/checks/provider")?;
    if provider.get("ok") != Some(&NO) {
        return None;
    }
    let text = |key: &str| provider.get(key).and_then(Value::as_str).map(short);
    let model = text("model").map_or_else(String::new, |name| format!(" `{name}`"));
    let why = text("error").map_or_else(String::new, |why| format!(": {why}"));
    Some(format!("rapport works, and its default model{model} does not answer{why}"))
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ':');
    if path.chars().all(is_plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect()
}
