//! Bounded looks at files that other programs write: their beginning, or their last lines.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The first bytes of a regular file as text; `None` when it is none or may not be read.
pub(crate) fn head(path: &Path, limit: u64) -> Option<String> {
    read(path, limit, |_| 0)
}

/// The last bytes of a regular file as text; `None` when it is none or may not be read.
pub(crate) fn tail(path: &Path, limit: u64) -> Option<String> {
    read(path, limit, |length| length.saturating_sub(limit))
}

fn read(path: &Path, limit: u64, start: impl Fn(u64) -> u64) -> Option<String> {
    // A pipe or a device would keep its reader waiting.
    let length = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
    let mut file = std::fs::File::open(path).ok()?;
    file.seek(SeekFrom::Start(start(length))).ok()?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{head, tail};

    #[test]
    fn only_so_much_of_a_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "first second third").unwrap();
        assert_eq!(head(&path, 5).unwrap(), "first");
        assert_eq!(tail(&path, 5).unwrap(), "third");
        assert_eq!(tail(&path, 500).unwrap(), "first second third");
        assert_eq!(tail(folder.path(), 5), None);
        assert_eq!(head(&folder.path().join("absent"), 5), None);
    }
}
