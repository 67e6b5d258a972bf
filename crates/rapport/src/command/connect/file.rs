//! Files of other programs: read whole, replaced in one step, with a copy of what was there.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::data;

/// Limit: a larger file is no list of servers.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Limit: lines around a change that are shown.
const AROUND: usize = 2;

/// The text of a file; empty when there is none.
///
/// # Errors
/// When it cannot be read, is no text or too large.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let found = std::fs::metadata(path);
    let Ok(found) = found else {
        let cause = found.err().map(|cause| cause.kind());
        let absent = cause == Some(std::io::ErrorKind::NotFound);
        ensure!(absent, "cannot read `{}`: {cause:?}", path.display());
        return Ok(String::new());
    };
    ensure!(found.is_file(), "`{}` is no file", path.display());
    ensure!(found.len() <= FILE_BYTES_MAX, "`{}` is too large", path.display());
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(cause) => {
            let at = cause.utf8_error().valid_up_to();
            bail!("`{}` is no UTF-8 text: byte {at} is none", path.display())
        }
    }
}

/// Replaces the text `before` by `after`, in one step; the copy's path when there was a file.
///
/// # Errors
/// When the file changed since it was read, or cannot be written.
pub(super) fn replace(path: &Path, before: &str, after: &str) -> anyhow::Result<Option<PathBuf>> {
    // A link stays a link: what it leads to is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().context("the file has no folder")?;
    data::private_folder(folder)?;
    let there = path.exists();
    let copy = there.then(|| data::backup_name(&path));
    if let Some(copy) = &copy {
        std::fs::copy(&path, copy).with_context(|| format!("cannot write `{}`", copy.display()))?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = write(&aside, &path, after).and_then(|()| {
        let now = read(&path)?;
        ensure!(now == before, "`{}` was changed at this moment: try again", path.display());
        std::fs::rename(&aside, &path)?;
        Ok(())
    });
    if written.is_err() {
        // What is left aside is of no use.
        let _gone = std::fs::remove_file(&aside);
        let _gone = copy.as_ref().map(std::fs::remove_file);
    }
    written.with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(copy)
}

fn write(aside: &Path, path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(aside)?;
    file.write_all(text.as_bytes())?;
    if let Ok(found) = std::fs::metadata(path) {
        std::fs::set_permissions(aside, found.permissions())?;
    }
    file.sync_all()?;
    Ok(())
}

/// The lines that differ, with a few around them; one change in one place, as our edits are.
pub(in crate::command) fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b);
    let tail = tail.count();
    let mut out = Vec::new();
    let mut lines = |sign: &str, lines: &[&str]| {
        out.extend(lines.iter().map(|line| format!("{sign} {line}").trim_end().to_owned()));
    };
    lines(" ", old.get(head.saturating_sub(AROUND)..head).unwrap_or_default());
    lines("-", old.get(head..old.len() - tail).unwrap_or_default());
    lines("+", new.get(head..new.len() - tail).unwrap_or_default());
    let end = old.len() - tail;
    lines(" ", old.get(end..(end + AROUND).min(old.len())).unwrap_or_default());
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_a_copy_of_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new").join("a.json");
        assert_eq!(read(&path).unwrap(), "");
        assert_eq!(replace(&path, "", "{}").unwrap(), None);
        let copy = replace(&path, "{}", "{\"a\":1}").unwrap().unwrap();
        assert_eq!(read(&copy).unwrap(), "{}");
        assert_eq!(read(&path).unwrap(), "{\"a\":1}");
        let error = replace(&path, "{}", "{\"b\":1}").unwrap_err();
        assert!(format!("{error:#}").contains("was changed at this moment"), "{error:#}");
        assert_eq!(read(&path).unwrap(), "{\"a\":1}");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
        std::fs::write(&path, b"\xff\xfe{\0}\0").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("no UTF-8 text: byte 0"));
        assert!(read(dir.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_modes_stay() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "a").unwrap();
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, "a", "b").unwrap();
        assert!(link.is_symlink());
        assert_eq!(read(&real).unwrap(), "b");
        assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_difference_shows_the_change_and_a_little_around_it() {
        let before = "1\n2\n3\n4\n5\n6\n7";
        assert_eq!(
            difference(before, "1\n2\n3\n4\nx\ny\n6\n7"),
            "  3\n  4\n- 5\n+ x\n+ y\n  6\n  7"
        );
        assert_eq!(difference("", "a\nb"), "+ a\n+ b");
        assert_eq!(difference("a", ""), "- a");
        assert_eq!(difference("a", "a"), "  a");
    }
}
