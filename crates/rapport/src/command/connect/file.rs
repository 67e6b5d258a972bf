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

/// A file that is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::command) struct Change {
    pub(in crate::command) path: PathBuf,
    /// What it was when the change was made up; empty for a file that is not there.
    pub(in crate::command) before: String,
    pub(in crate::command) after: String,
}

/// Replaces the text `before` by `after`, in one step; the copy's path when there was a file.
///
/// # Errors
/// When the file changed since it was read, or cannot be written.
pub(super) fn replace(path: &Path, before: &str, after: &str) -> anyhow::Result<Option<PathBuf>> {
    let (before, after) = (before.to_owned(), after.to_owned());
    let change = Change { path: path.to_owned(), before, after };
    let copies = replace_all(std::slice::from_ref(&change), || Ok(()))?;
    Ok(copies.into_iter().next().flatten())
}

/// Replaces all of these files, or none: when one cannot be written, or `check` refuses what came
/// of it, those that were written are put back. The paths of the copies of what was there.
///
/// # Errors
/// What was in the way. When a file could not be put back either, that too, with its copy.
pub(in crate::command) fn replace_all(
    changes: &[Change],
    check: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Option<PathBuf>>> {
    let mut steps = Vec::new();
    let done = changes
        .iter()
        .try_for_each(|change| {
            // What cannot be written at all shows here, before anything changed.
            steps.push(Step::prepare(change)?);
            Ok(())
        })
        .and_then(|()| steps.iter_mut().try_for_each(Step::make))
        .and_then(|()| check());
    let Err(error) = done else { return Ok(steps.into_iter().map(|step| step.copy).collect()) };
    let lost = steps.iter().filter_map(|step| step.undo().err());
    let lost: Vec<String> = lost.map(|error| format!("{error:#}")).collect();
    if lost.is_empty() { Err(error) } else { Err(error.context(lost.join("; "))) }
}

/// One file on its way.
struct Step<'c> {
    change: &'c Change,
    /// The file itself, when the path is a link to it.
    path: PathBuf,
    /// The new text, beside the file.
    aside: PathBuf,
    copy: Option<PathBuf>,
    made: bool,
}

impl<'c> Step<'c> {
    fn prepare(change: &'c Change) -> anyhow::Result<Self> {
        // A link stays a link: what it leads to is replaced.
        let path = std::fs::canonicalize(&change.path).unwrap_or_else(|_| change.path.clone());
        let failed = || format!("cannot write `{}`", path.display());
        let folder = path.parent().context("the file has no folder")?;
        data::private_folder(folder)?;
        let copy = path.exists().then(|| data::backup_name(&path));
        if let Some(copy) = &copy {
            let failed = || format!("cannot write `{}`", copy.display());
            let copied = std::fs::copy(&path, copy);
            if copied.is_err() {
                // Half a copy is none.
                let _gone = std::fs::remove_file(copy);
            }
            copied.with_context(failed)?;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = folder.join(format!(".{name}.{}", std::process::id()));
        let written = write(&aside, &path, &change.after).with_context(failed);
        let step = Self { change, path, aside, copy, made: false };
        if written.is_err() {
            step.undo()?;
        }
        written.map(|()| step)
    }

    fn make(&mut self) -> anyhow::Result<()> {
        let shown = self.path.display();
        let failed = || format!("cannot write `{shown}`");
        let now = read(&self.path)?;
        let same = now == self.change.before;
        ensure!(same, "cannot write `{shown}`: it was changed at this moment: try again");
        std::fs::rename(&self.aside, &self.path).with_context(failed)?;
        self.made = true;
        Ok(())
    }

    /// The file is what it was, and nothing lies beside it.
    fn undo(&self) -> anyhow::Result<()> {
        match (&self.copy, self.made) {
            (Some(copy), true) => {
                let lost = || {
                    let (path, copy) = (self.path.display(), copy.display());
                    format!("`{path}` could not be put back: what it was is in `{copy}`")
                };
                write(&self.aside, copy, &self.change.before).with_context(lost)?;
                std::fs::rename(&self.aside, &self.path).with_context(lost)?;
            }
            (None, true) => std::fs::remove_file(&self.path)
                .with_context(|| format!("`{}` could not be removed again", self.path.display()))?,
            (_, false) => {}
        }
        // What is left aside is of no use.
        let _gone = std::fs::remove_file(&self.aside);
        let _gone = self.copy.as_ref().map(std::fs::remove_file);
        Ok(())
    }
}

fn write(aside: &Path, path: &Path, text: &str) -> anyhow::Result<()> {
    // What lies there is of one that was killed, or a trap for root: it is never written through.
    let _gone = std::fs::remove_file(aside);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(aside)?;
    file.write_all(text.as_bytes())?;
    if let Ok(found) = std::fs::metadata(path) {
        file.set_permissions(found.permissions())?;
        #[cfg(unix)]
        keep_owner(&file, &found);
    }
    file.sync_all()?;
    Ok(())
}

/// A file of somebody else stays his when root writes it.
#[cfg(unix)]
fn keep_owner(file: &std::fs::File, found: &std::fs::Metadata) {
    use std::os::unix::fs::MetadataExt as _;
    // Only root may give files away, and for others they are their own already.
    let _kept = std::os::unix::fs::fchown(file, Some(found.uid()), Some(found.gid()));
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

    #[test]
    fn all_files_change_or_none_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["a", "b"] {
            std::fs::write(path(name), "old").unwrap();
        }
        let change = |name: &str, before: &str| Change {
            path: path(name),
            before: before.to_owned(),
            after: "new".to_owned(),
        };
        let texts = || ["a", "b"].map(|name| std::fs::read_to_string(path(name)).unwrap());
        let left = || std::fs::read_dir(dir.path()).unwrap().count();
        // The second was changed by somebody else: the first is put back.
        let both = [change("a", "old"), change("c", ""), change("b", "other")];
        let error = replace_all(&both, || Ok(())).unwrap_err();
        assert!(format!("{error:#}").contains("b`: it was changed at this moment"), "{error:#}");
        assert_eq!((texts(), left()), (["old", "old"].map(str::to_owned), 2));
        // The second cannot be written: the first is not touched.
        let error = replace_all(&[change("a", "old"), change("b/c", "")], || Ok(())).unwrap_err();
        assert!(format!("{error:#}").contains("b"), "{error:#}");
        assert_eq!((texts(), left()), (["old", "old"].map(str::to_owned), 2));
        // What came of it is refused.
        let both = [change("a", "old"), change("c", ""), change("b", "old")];
        let error = replace_all(&both, || bail!("no good")).unwrap_err();
        assert_eq!(format!("{error:#}"), "no good");
        assert_eq!((texts(), left()), (["old", "old"].map(str::to_owned), 2));
        let copies = replace_all(&both, || Ok(())).unwrap();
        assert_eq!(texts(), ["new", "new"].map(str::to_owned));
        assert_eq!(copies, [Some(path("a.bak")), None, Some(path("b.bak"))]);
        assert_eq!(std::fs::read_to_string(path("b.bak")).unwrap(), "old");
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link_that_somebody_laid() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("list"), "old").unwrap();
        std::fs::write(path("victim"), "mine").unwrap();
        let aside = path(&format!(".list.{}", std::process::id()));
        std::os::unix::fs::symlink(path("victim"), aside).unwrap();
        std::os::unix::fs::symlink(path("nowhere"), path("list.bak")).unwrap();
        let copy = replace(&path("list"), "old", "new").unwrap().unwrap();
        assert_eq!(copy, path("list.bak1"));
        assert!(!path("nowhere").exists());
        let text = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        assert_eq!((text("list"), text("victim")), ("new".to_owned(), "mine".to_owned()));
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
