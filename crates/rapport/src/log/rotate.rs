//! A log file that moves aside when it is full, and keeps a few old ones.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::data::append_private;

/// Limit: bytes of one log file.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Limit: old files kept: `server.log.1` is the newest.
const OLD_FILES_MAX: u32 = 5;

/// The open file and how full it is.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    bytes: u64,
    limit: u64,
}

impl Rotating {
    /// Opens `path` for appending.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, FILE_BYTES_MAX)
    }

    fn open_with(path: &Path, limit: u64) -> io::Result<Self> {
        let file = append_private(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, limit })
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let old = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..OLD_FILES_MAX).rev() {
            if old(number).exists() {
                std::fs::rename(old(number), old(number + 1))?;
            }
        }
        std::fs::rename(&self.path, old(1))?;
        self.file = append_private(&self.path)?;
        self.bytes = 0;
        Ok(())
    }
}

impl Write for Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        // A log that cannot be moved aside still takes lines; losing them would be worse.
        if self.bytes > 0 && self.bytes.saturating_add(length) > self.limit {
            let _kept_writing = self.rotate();
        }
        let written = self.file.write(line)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(written).unwrap_or(0));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::{OLD_FILES_MAX, Rotating};
    use std::io::Write;

    #[test]
    fn a_full_file_moves_aside_and_only_a_few_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.log");
        let mut log = Rotating::open_with(&path, 10).unwrap();
        for number in 0..20 {
            log.write_all(format!("line {number:02}\n").as_bytes()).unwrap();
        }
        let mut names: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 1 + OLD_FILES_MAX as usize, "{names:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "line 19\n");
        let newest_old = dir.path().join("server.log.1");
        assert_eq!(std::fs::read_to_string(newest_old).unwrap(), "line 18\n");
    }

    #[test]
    fn an_existing_file_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.log");
        std::fs::write(&path, "before\n").unwrap();
        Rotating::open_with(&path, 100).unwrap().write_all(b"after\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\nafter\n");
    }
}
