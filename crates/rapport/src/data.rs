//! The data folder: made private, with files that are replaced in one step.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Makes `folder` and those above it; a folder that is made is for this user alone (0700).
///
/// # Errors
/// When something else has the name or it cannot be made.
pub(crate) fn private_folder(folder: &Path) -> anyhow::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| {
        format!("cannot make the folder `{}`: name a folder you may write to", folder.display())
    })
}

/// The text of a file; nothing when there is no file.
///
/// # Errors
/// When there is one that cannot be read: it must not be taken for an empty one, and replaced.
pub(crate) fn text_of(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// Opens a file to write behind what is in it; one that is made only this user can read (0600).
///
/// # Errors
/// When it cannot be written.
pub(crate) fn append_private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Replaces the file `path` in one step; only this user can read it (0600).
///
/// # Errors
/// When the folder cannot be written to.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.join(format!(".{name}.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(&aside)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        // Half a file is of no use.
        let _gone = std::fs::remove_file(&aside);
    }
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

/// A name beside `path` for a copy of it: `.bak`, or the first `.bakN` that is free.
pub(crate) fn backup_name(path: &Path) -> PathBuf {
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 0 { ".bak".to_owned() } else { format!(".bak{number}") });
        PathBuf::from(name)
    };
    // A link that leads nowhere is there: whoever writes through it writes elsewhere.
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    (0..u32::MAX).map(named).find(is_free).unwrap_or_else(|| named(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_taken_for_what_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mcp.json");
        assert_eq!(text_of(&file).unwrap(), None);
        std::fs::write(&file, b"\xff").unwrap();
        assert!(text_of(&file).is_err());
        write_private(&file, b"{}").unwrap();
        assert_eq!(text_of(&file).unwrap().as_deref(), Some("{}"));
    }

    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::create_dir_all(taken.join("full")).unwrap();
        assert!(write_private(&taken, b"{}").is_err());
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1);
    }
}
