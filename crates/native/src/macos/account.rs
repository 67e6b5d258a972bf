//! Names of users, which the system's directory has and no file lists.

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

/// The name of a user by the number.
#[must_use]
pub fn name(uid: u32) -> Option<String> {
    let mut texts = vec![0 as c_char; 16 * 1024];
    // SAFETY: a row of numbers and pointers, for which zero is a value.
    let mut row: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = null_mut();
    // SAFETY: everything outlives the call, and the texts have the length that is passed.
    let code = unsafe {
        libc::getpwuid_r(uid, &raw mut row, texts.as_mut_ptr(), texts.len(), &raw mut found)
    };
    if code != 0 || found.is_null() || row.pw_name.is_null() {
        return None;
    }
    // SAFETY: the call has put a name with an end into `texts`, which live on.
    let name = unsafe { CStr::from_ptr(row.pw_name) };
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn root_has_a_name_and_an_unknown_number_has_none() {
        assert_eq!(super::name(0).as_deref(), Some("root"));
        assert_eq!(super::name(u32::MAX - 7), None);
    }
}
