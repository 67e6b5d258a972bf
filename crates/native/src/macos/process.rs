//! Processes, as `libproc` shows them.

use std::ffi::c_int;

/// `proc_bsdinfo`: state, user and start; of this user's processes, or as root.
pub const FACTS: c_int = 3;
/// `proc_taskinfo`: how long its threads ran; of this user's processes, or as root.
pub const TASK: c_int = 4;
/// `proc_vnodepathinfo`: the folder it works in.
pub const FOLDERS: c_int = 9;
/// `proc_bsdshortinfo`: its state, name and user; of every process.
pub const SHORT: c_int = 13;

/// Limit: processes that are listed.
const PROCESSES_MAX: usize = 100_000;

/// Limit: bytes of one answer.
const BYTES_MAX: usize = 8192;

/// The ids of all processes.
#[must_use]
pub fn all() -> Vec<u32> {
    let mut pids: Vec<c_int> = vec![0; PROCESSES_MAX];
    let Ok(bytes) = c_int::try_from(size_of_val(pids.as_slice())) else { return Vec::new() };
    // SAFETY: `bytes` is the size of `pids`; the system writes no more than that.
    let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), bytes) };
    pids.truncate(usize::try_from(count).unwrap_or_default());
    pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect()
}

/// The bytes of one answer of `proc_pidinfo`; `None` when the process is gone or may not be asked.
#[must_use]
pub fn info(pid: u32, what: c_int) -> Option<Vec<u8>> {
    // Words, so that the answer is aligned as the system expects.
    let mut words = vec![0_u64; BYTES_MAX / 8];
    let bytes = c_int::try_from(BYTES_MAX).ok()?;
    let pid = c_int::try_from(pid).ok()?;
    // SAFETY: `bytes` is the size of `words`; the system writes no more than that.
    let length = unsafe { libc::proc_pidinfo(pid, what, 0, words.as_mut_ptr().cast(), bytes) };
    let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
    Some(words.iter().flat_map(|word| word.to_ne_bytes()).take(length).collect())
}

/// The path of a process's program; of every process.
#[must_use]
pub fn program(pid: u32) -> Option<String> {
    let mut path = vec![0_u8; 4096];
    let (pid, bytes) = (c_int::try_from(pid).ok()?, u32::try_from(path.len()).ok()?);
    // SAFETY: `bytes` is the size of `path`; the system writes no more than that.
    let length = unsafe { libc::proc_pidpath(pid, path.as_mut_ptr().cast(), bytes) };
    path.truncate(usize::try_from(length).ok().filter(|length| *length > 0)?);
    Some(String::from_utf8_lossy(&path).into_owned())
}

/// The words of a process: their count, the path of the program, zeros, the words, the variables;
/// of this user's processes, or as root.
#[must_use]
pub fn arguments(pid: u32) -> Option<Vec<u8>> {
    let pid = c_int::try_from(pid).ok()?;
    super::sysctl::by_numbers(&[libc::CTL_KERN, libc::KERN_PROCARGS2, pid]).ok()
}

#[cfg(test)]
mod tests {
    use super::{FACTS, all, arguments, info, program};

    #[test]
    fn this_process_is_listed_with_its_program_and_words() {
        let pid = std::process::id();
        assert!(all().contains(&pid));
        let own = std::env::current_exe().unwrap();
        let name = own.file_name().unwrap().to_str().unwrap();
        assert!(program(pid).unwrap().ends_with(name));
        assert!(String::from_utf8_lossy(&arguments(pid).unwrap()).contains(name));
        assert!(info(pid, FACTS).unwrap().len() >= 136);
        assert_eq!(program(u32::MAX), None);
    }
}
