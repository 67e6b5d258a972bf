//! How much room a disk has.

use std::path::Path;

/// The disk below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Whether an ordinary user may write no further byte.
    pub is_full: bool,
    /// Whether it takes no further file, however small.
    pub has_no_inode: bool,
    /// Whether it may only be read.
    pub is_read_only: bool,
}

/// The disk below `folder`; `None` when the folder is not there.
#[cfg(unix)]
#[must_use]
pub fn room(folder: &Path) -> Option<Room> {
    let seen = rustix::fs::statvfs(folder).ok()?;
    Some(Room {
        free_bytes: seen.f_bavail.saturating_mul(seen.f_frsize),
        is_full: seen.f_blocks > 0 && seen.f_bavail == 0,
        has_no_inode: seen.f_files > 0 && seen.f_favail == 0,
        is_read_only: seen.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

/// The disk below `folder`; `None` when the folder is not there.
#[cfg(windows)]
#[must_use]
pub fn room(folder: &Path) -> Option<Room> {
    let free_bytes = crate::windows::disk::free_bytes(folder)?;
    // NTFS makes room for a file's entry from the same bytes.
    Some(Room { free_bytes, is_full: free_bytes == 0, has_no_inode: false, is_read_only: false })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_folder_that_can_be_written_has_room_and_a_missing_one_has_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let room = super::room(folder.path()).unwrap();
        assert!(room.free_bytes > 0 && !room.is_full && !room.is_read_only, "{room:?}");
        assert_eq!(super::room(&folder.path().join("absent")), None);
    }
}
