//! The recording: one line for each exchange, in a file that can be begun anew when it is long.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::data::append_private;

/// A recording that is written to.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Record {
    /// Opens a recording, to write behind what is in it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(path: &Path, max_mib: Option<u64>) -> anyhow::Result<Self> {
        let said = || format!("cannot write `{}`", path.display());
        // Prompts are nobody else's business.
        let file = append_private(path).with_context(said)?;
        let bytes = file.metadata().with_context(said)?.len();
        let bytes_max = max_mib.map_or(u64::MAX, |mib| mib.max(1).saturating_mul(1 << 20));
        Ok(Self { path: path.to_owned(), file, bytes, bytes_max })
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When the disk is full, or the file cannot be begun anew.
    pub(super) fn write(&mut self, line: &str) -> io::Result<()> {
        let length = line.len() as u64 + 1;
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.bytes_max {
            let mut before = self.path.as_os_str().to_owned();
            before.push(".1");
            std::fs::rename(&self.path, before)?;
            self.file = append_private(&self.path)?;
            self.bytes = 0;
        }
        writeln!(self.file, "{line}")?;
        self.bytes = self.bytes.saturating_add(length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Record;

    #[test]
    fn a_long_recording_is_begun_anew_and_one_before_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calls.jsonl");
        let line = "x".repeat(400 << 10);
        let mut record = Record::open(&path, Some(1)).unwrap();
        for _ in 0..7 {
            record.write(&line).unwrap();
        }
        let length = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().len();
        assert_eq!(length("calls.jsonl"), 1 + (400 << 10));
        assert_eq!(length("calls.jsonl.1"), 2 * (1 + (400 << 10)));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        drop(record);
        let mut again = Record::open(&path, None).unwrap();
        again.write("more").unwrap();
        assert_eq!(length("calls.jsonl"), 6 + (400 << 10));
    }
}
