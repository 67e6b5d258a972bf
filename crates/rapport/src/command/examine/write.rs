//! Writes a report to a file that can be shown to others.

use std::path::Path;

use anyhow::Context as _;

use super::Seen;
use crate::command::Frame;

/// Writes the whole report as text and JSON; the doctor's reports hold no secrets of their own,
/// and the name of the home folder is left out.
pub(super) fn to(frame: &mut Frame, path: &Path, seen: &Seen) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(&seen.json())?;
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    let mut text = format!(
        "rapport {} on {system} {machine}\n\n{}\n\n{json}\n",
        env!("CARGO_PKG_VERSION"),
        seen.text(false, true).trim_end()
    );
    if let Some(home) = frame.env.home() {
        let home = home.display().to_string();
        if home.len() > 1 {
            text = text.replace(&home, "~");
        }
    }
    std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    frame.printer.note(&format!("the report is in {}", path.display()));
    Ok(())
}
