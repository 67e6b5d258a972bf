//! The client's own log: connections that failed, one line each, for whoever looks later.

use std::io::Write;
use std::path::PathBuf;

/// Limit: a larger file is put aside, over the one put aside before.
const BYTES_MAX: u64 = 256 * 1024;

/// Where failures are written down; nowhere by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    file: Option<PathBuf>,
}

impl Journal {
    /// Writes into `file`, which is made with its folder at the first line.
    pub(crate) fn at(file: PathBuf) -> Self {
        Self { file: Some(file) }
    }

    /// Adds a line. A log that cannot be written is no reason to fail.
    pub(super) fn write(&self, text: &str) {
        tracing::debug!("{text}");
        if let Err(error) = self.append(text) {
            tracing::debug!("the client's log cannot be written: {error}");
        }
    }

    fn append(&self, text: &str) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        if let Some(folder) = file.parent() {
            crate::data::private_folder(folder)?;
        }
        if std::fs::metadata(file).is_ok_and(|found| found.len() > BYTES_MAX) {
            std::fs::rename(file, file.with_extension("log.1"))?;
        }
        let line = text.replace(['\n', '\r'], " ");
        let mut opened = crate::data::append_private(file)?;
        opened.write_all(format!("{} ERROR {line}\n", crate::clock::now()).as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_written_down_and_the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state").join("client.log");
        let journal = Journal::at(file.clone());
        journal.write("Failed to connect\nto x");
        assert!(
            std::fs::read_to_string(&file).unwrap().ends_with("ERROR Failed to connect to x\n")
        );
        for _ in 0..300 {
            journal.write(&"y".repeat(1000));
        }
        assert!(std::fs::metadata(&file).unwrap().len() < BYTES_MAX + 2000);
        assert!(folder.path().join("state").join("client.log.1").exists());
    }
}
