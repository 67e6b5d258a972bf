//! Bounded looks at files that other programs write: their beginning, or their last lines.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The first bytes of a regular file as text; `None` when it is none or may not be read.
pub(crate) fn head(path: &Path, limit: u64) -> Option<String> {
    read(path, limit, |_| 0)
}

/// The last lines of a regular file, as far as they fit; `None` when it is none or may not be read.
/// The line in which that begins is left out: nobody would know the secrets in half of it.
pub(crate) fn tail(path: &Path, limit: u64) -> Option<String> {
    let is_longer = std::fs::metadata(path).ok()?.len() > limit;
    let text = read(path, limit, |length| length.saturating_sub(limit))?;
    let whole = text.split_once('\n').filter(|_| is_longer).map(|(_, rest)| rest.to_owned());
    Some(whole.unwrap_or(text))
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
        std::fs::write(&path, "first token=abc\nthird").unwrap();
        assert_eq!(head(&path, 5).unwrap(), "first");
        assert_eq!(tail(&path, 3).unwrap(), "ird");
        assert_eq!(tail(&path, 9).unwrap(), "third");
        assert_eq!(tail(&path, 500).unwrap(), "first token=abc\nthird");
        assert_eq!(tail(folder.path(), 5), None);
        assert_eq!(head(&folder.path().join("absent"), 5), None);
    }
}
