//! The current context of a directory, so that commands in it need not name one.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Remembers one context for one directory and profile.
#[derive(Debug)]
pub(super) struct Current {
    file: PathBuf,
    directory: String,
}

#[derive(Serialize, Deserialize)]
struct Written {
    /// The directory, so that two with the same file name are not taken for one another.
    directory: String,
    context: String,
}

impl Current {
    /// That of the working directory.
    pub(super) fn of(state: &Path, profile: Option<&str>) -> Self {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        Self::at(state, &here, profile)
    }

    fn at(state: &Path, here: &Path, profile: Option<&str>) -> Self {
        let directory = match profile {
            Some(profile) => format!("{} ({profile})", here.display()),
            None => here.display().to_string(),
        };
        let file = state.join("current").join(format!("{:016x}.json", fingerprint(&directory)));
        Self { file, directory }
    }

    /// The remembered context.
    pub(super) fn read(&self) -> Option<String> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        let written: Written = serde_json::from_str(&text).ok()?;
        (written.directory == self.directory).then_some(written.context)
    }

    /// Remembers `id` from now on.
    ///
    /// # Errors
    /// When the state folder cannot be written to.
    pub(super) fn write(&self, id: &str) -> anyhow::Result<()> {
        if let Some(folder) = self.file.parent() {
            crate::data::private_folder(folder)?;
        }
        let written = Written { directory: self.directory.clone(), context: id.to_owned() };
        crate::data::write_private(&self.file, serde_json::to_string(&written)?.as_bytes())
    }

    /// Remembers nothing any more.
    ///
    /// # Errors
    /// When the state folder cannot be written to.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        std::fs::remove_file(&self.file)
            .with_context(|| format!("cannot remove `{}`", self.file.display()))
    }
}

/// FNV-1a: a short file name for any path, the same in every release.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_and_profile_has_its_own_context() {
        let state = tempfile::tempdir().unwrap();
        let at = |path: &str, profile| Current::at(state.path(), Path::new(path), profile);
        at("/a", None).write("one").unwrap();
        at("/a", Some("test")).write("two").unwrap();
        assert_eq!(at("/a", None).read().as_deref(), Some("one"));
        assert_eq!(at("/a", Some("test")).read().as_deref(), Some("two"));
        assert_eq!(at("/b", None).read(), None);
        at("/a", None).clear().unwrap();
        assert_eq!(at("/a", None).read(), None);
    }

    #[test]
    fn the_name_of_the_file_never_changes() {
        assert_eq!(fingerprint(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
