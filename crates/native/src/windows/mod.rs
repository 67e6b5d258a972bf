//! What Windows tells: tables of sockets, processes, the registry, jobs.

pub(crate) mod disk;
pub mod job;
pub mod process;
pub mod registry;
pub mod sockets;

use std::ffi::OsStr;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{FromRawHandle as _, OwnedHandle};

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};

/// A text as the system takes it: UTF-16 with an end.
fn wide(text: &OsStr) -> Vec<u16> {
    text.encode_wide().chain([0]).collect()
}

/// A text that the system wrote, up to its end.
fn text(units: &[u16]) -> String {
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    String::from_utf16_lossy(units.get(..end).unwrap_or_default())
}

/// A handle that is closed when it drops; `None` for what the system gives instead of one.
fn owned(handle: HANDLE) -> Option<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return None;
    }
    // SAFETY: every caller passes what a function has just opened for it and nobody else closes.
    Some(unsafe { OwnedHandle::from_raw_handle(handle) })
}
