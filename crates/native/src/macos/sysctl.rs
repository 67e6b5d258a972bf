//! Values of the kernel, as bytes.

use std::ffi::{CString, c_int};
use std::io;
use std::ptr::null_mut;

/// Limit: how often a value is asked for again because it grew meanwhile.
const TRIES_MAX: usize = 8;

/// Limit: bytes of one value.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// A value by its name: `net.inet.tcp.pcblist_n`.
///
/// # Errors
/// The system's own; `InvalidInput` for a name with a zero byte in it.
pub fn by_name(name: &str) -> io::Result<Vec<u8>> {
    let name = CString::new(name)?;
    read(|to, length| {
        // SAFETY: the name has an end, and `length` says how many bytes `to` has room for, or `to`
        // is null and only the length is asked for.
        unsafe { libc::sysctlbyname(name.as_ptr(), to, length, null_mut(), 0) }
    })
}

/// A value by its numbers: `[CTL_KERN, KERN_PROCARGS2, PID]`.
///
/// # Errors
/// The system's own, for instance when the process belongs to another user.
pub fn by_numbers(numbers: &[c_int]) -> io::Result<Vec<u8>> {
    let mut numbers = numbers.to_vec();
    let count = u32::try_from(numbers.len()).unwrap_or_default();
    read(|to, length| {
        // SAFETY: `count` is the count of the numbers; the rest is as above.
        unsafe { libc::sysctl(numbers.as_mut_ptr(), count, to, length, null_mut(), 0) }
    })
}

fn read(mut ask: impl FnMut(*mut libc::c_void, *mut libc::size_t) -> c_int) -> io::Result<Vec<u8>> {
    let mut wanted: libc::size_t = 0;
    if ask(null_mut(), &raw mut wanted) != 0 {
        return Err(io::Error::last_os_error());
    }
    for _try in 0..TRIES_MAX {
        // Tables grow between the two questions.
        wanted = wanted.saturating_add(wanted / 8).saturating_add(4096).min(BYTES_MAX);
        let mut bytes = vec![0_u8; wanted];
        let mut length = bytes.len();
        if ask(bytes.as_mut_ptr().cast(), &raw mut length) == 0 {
            bytes.truncate(length);
            return Ok(bytes);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ENOMEM) {
            return Err(error);
        }
        wanted = wanted.saturating_mul(2);
    }
    Err(io::Error::other("the value grows faster than it can be read"))
}

#[cfg(test)]
mod tests {
    use super::{by_name, by_numbers};

    #[test]
    fn values_are_read_and_a_name_that_does_not_exist_is_refused() {
        assert!(by_name("kern.ostype").unwrap().starts_with(b"Darwin"));
        assert!(by_numbers(&[libc::CTL_KERN, libc::KERN_OSTYPE]).unwrap().starts_with(b"Darwin"));
        assert!(by_name("kern.no_such_value").is_err());
        assert!(by_name("with\0zero").is_err());
    }
}
