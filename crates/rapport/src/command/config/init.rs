//! `rapport config init`: files to begin with, which can be committed.

use std::path::Path;

use anyhow::Context;

use super::super::Frame;
use crate::config::generate;
use crate::print::Exit;

/// Writes the files into the working directory.
pub(super) fn run(frame: &mut Frame, all: bool, force: bool) -> anyhow::Result<Exit> {
    let folder = frame.inputs().folder;
    let schema = serde_json::to_string_pretty(&generate::schema())? + "\n";
    let starter = generate::starter();
    let mut files = vec![("rapport.yaml", starter.as_str()), ("rapport.schema.json", &schema)];
    if all {
        files.extend([
            (".env.example", generate::ENV_EXAMPLE),
            ("compose.yaml", generate::COMPOSE),
            ("Dockerfile", generate::CONTAINERFILE),
        ]);
    }
    let taken: Vec<&str> =
        files.iter().map(|(name, _)| *name).filter(|name| folder.join(name).exists()).collect();
    if !taken.is_empty() && !force {
        let taken = taken.join(", ");
        frame.printer.error(&format!("{taken} exist here: use --force to replace them"));
        return Ok(Exit::Problem);
    }
    for (name, text) in files {
        write(&folder.join(name), text)?;
        frame.printer.line(&format!("wrote {name}"));
    }
    if all && ignore(&folder.join(".gitignore"))? {
        frame.printer.line("added lines to .gitignore");
    }
    frame.printer.line("see what counts with `rapport config show --origin`");
    Ok(Exit::Fine)
}

/// Adds the missing lines; says whether there were any.
fn ignore(path: &Path) -> anyhow::Result<bool> {
    let mut text = std::fs::read_to_string(path).unwrap_or_default();
    let present = |line: &str| text.lines().any(|known| known.trim() == line);
    let missing: Vec<&str> =
        generate::IGNORED.iter().copied().filter(|line| !present(line)).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in missing {
        text.push_str(line);
        text.push('\n');
    }
    write(path, &text)?;
    Ok(true)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}
