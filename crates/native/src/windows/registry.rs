//! Values of the registry, read and never written.

use std::ffi::OsStr;
use std::ptr::null_mut;

use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE, RRF_RT_REG_DWORD, RRF_RT_REG_SZ, RegGetValueW,
};

/// Limit: bytes of one value.
const BYTES_MAX: usize = 64 * 1024;

/// Where a key begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// `HKEY_CURRENT_USER`.
    User,
    /// `HKEY_LOCAL_MACHINE`.
    Machine,
}

/// A value that is a text; `None` when there is none.
#[must_use]
pub fn text(root: Root, key: &str, name: &str) -> Option<String> {
    let bytes = value(root, key, name, RRF_RT_REG_SZ)?;
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .filter_map(|two| Some(u16::from_ne_bytes(two.try_into().ok()?)))
        .collect();
    Some(super::text(&units))
}

/// A value that is a number; `None` when there is none.
#[must_use]
pub fn number(root: Root, key: &str, name: &str) -> Option<u32> {
    let bytes = value(root, key, name, RRF_RT_REG_DWORD)?;
    Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

fn value(root: Root, key: &str, name: &str, kind: u32) -> Option<Vec<u8>> {
    let root: HKEY = match root {
        Root::User => HKEY_CURRENT_USER,
        Root::Machine => HKEY_LOCAL_MACHINE,
    };
    let (key, name) = (super::wide(OsStr::new(key)), super::wide(OsStr::new(name)));
    let mut bytes = vec![0_u8; BYTES_MAX];
    let mut length = u32::try_from(bytes.len()).ok()?;
    let to = bytes.as_mut_ptr().cast();
    // SAFETY: both texts have an end, and `length` says how many bytes there is room for.
    let code = unsafe {
        RegGetValueW(root, key.as_ptr(), name.as_ptr(), kind, null_mut(), to, &raw mut length)
    };
    bytes.truncate(usize::try_from(length).ok()?);
    (code == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Root, number, text};

    #[test]
    fn a_value_of_the_system_is_read_and_a_missing_one_is_absent() {
        let key = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
        assert!(!text(Root::Machine, key, "CurrentVersion").unwrap().is_empty());
        assert_eq!(text(Root::Machine, key, "no such value"), None);
        assert_eq!(number(Root::Machine, key, "CurrentVersion"), None, "it is a text");
        assert_eq!(number(Root::User, "no such key", "x"), None);
    }
}
