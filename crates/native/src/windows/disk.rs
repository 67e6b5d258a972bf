//! The room on a disk.

use std::path::Path;
use std::ptr::null_mut;

use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;

/// Bytes that this user may still write below `folder`.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let folder = super::wide(folder.as_os_str());
    let mut free = 0_u64;
    // SAFETY: the text has an end, `free` outlives the call, and the other answers are not wanted.
    let done =
        unsafe { GetDiskFreeSpaceExW(folder.as_ptr(), &raw mut free, null_mut(), null_mut()) };
    (done != 0).then_some(free)
}
