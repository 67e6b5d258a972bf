//! Values of the registry, read and never written.

use std::ffi::OsStr;
use std::ptr::null_mut;

use windows_sys::Win32::System::Registry::{
    HKEY, HKEY_CURRENT_USER, HKEY_LOCAL_MACHINE, KEY_READ, REG_SZ, RRF_RT_REG_DWORD, RRF_RT_REG_SZ,
    RegCloseKey, RegEnumValueW, RegGetValueW, RegOpenKeyExW,
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
    Some(read(&bytes))
}

/// Limit: values of one key that are read.
const VALUES_MAX: u32 = 20_000;

/// Every value of a key that is a text; empty when the key is not there.
#[must_use]
pub fn texts(root: Root, key: &str) -> Vec<String> {
    let key = super::wide(OsStr::new(key));
    let mut open: HKEY = null_mut();
    // SAFETY: the text has an end, and `open` is a place for the handle.
    let code = unsafe { RegOpenKeyExW(handle(root), key.as_ptr(), 0, KEY_READ, &raw mut open) };
    if code != 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut bytes = vec![0_u8; BYTES_MAX];
    // The name of a value has at most 16383 characters.
    let mut name = vec![0_u16; 16_384];
    for index in 0..VALUES_MAX {
        let (Ok(mut named), Ok(mut length)) =
            (u32::try_from(name.len()), u32::try_from(bytes.len()))
        else {
            break;
        };
        let mut kind = 0_u32;
        // SAFETY: both lengths say how much room there is, and the handle is open.
        let code = unsafe {
            RegEnumValueW(
                open,
                index,
                name.as_mut_ptr(),
                &raw mut named,
                null_mut(),
                &raw mut kind,
                bytes.as_mut_ptr(),
                &raw mut length,
            )
        };
        match code {
            0 if kind == REG_SZ => {
                let length = usize::try_from(length).unwrap_or_default();
                found.push(read(bytes.get(..length).unwrap_or_default()));
            }
            // A value that is larger than any text is passed over.
            0 | MORE_DATA => {}
            _ => break,
        }
    }
    // SAFETY: the handle was opened above, and nobody has it after this.
    unsafe { RegCloseKey(open) };
    found
}

/// `ERROR_MORE_DATA`.
const MORE_DATA: u32 = 234;

/// UTF-16 as the registry keeps it.
fn read(bytes: &[u8]) -> String {
    let units =
        bytes.chunks_exact(2).filter_map(|two| Some(u16::from_ne_bytes(two.try_into().ok()?)));
    super::text(&units.collect::<Vec<u16>>())
}

fn handle(root: Root) -> HKEY {
    match root {
        Root::User => HKEY_CURRENT_USER,
        Root::Machine => HKEY_LOCAL_MACHINE,
    }
}

/// A value that is a number; `None` when there is none.
#[must_use]
pub fn number(root: Root, key: &str, name: &str) -> Option<u32> {
    let bytes = value(root, key, name, RRF_RT_REG_DWORD)?;
    Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

fn value(root: Root, key: &str, name: &str, kind: u32) -> Option<Vec<u8>> {
    let root = handle(root);
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
    use super::{Root, number, text, texts};

    #[test]
    fn a_value_of_the_system_is_read_and_a_missing_one_is_absent() {
        let key = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
        assert!(!text(Root::Machine, key, "CurrentVersion").unwrap().is_empty());
        assert_eq!(text(Root::Machine, key, "no such value"), None);
        assert_eq!(number(Root::Machine, key, "CurrentVersion"), None, "it is a text");
        assert_eq!(number(Root::User, "no such key", "x"), None);
        let name = text(Root::Machine, key, "CurrentVersion").unwrap();
        assert!(texts(Root::Machine, key).contains(&name));
        assert!(texts(Root::Machine, "no such key").is_empty());
    }
}
