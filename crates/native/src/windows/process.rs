//! Processes: which there are, and what each lets others know of it.

use std::collections::HashSet;
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
use std::ptr::{null, null_mut};

use windows_sys::Wdk::System::Threading::{
    NtQueryInformationProcess, ProcessCommandLineInformation,
};
use windows_sys::Win32::Foundation::{ERROR_ACCESS_DENIED, FILETIME, GetLastError, STILL_ACTIVE};
use windows_sys::Win32::Security::{
    GetTokenInformation, LookupAccountSidW, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::Threading::{
    GetExitCodeProcess, GetProcessTimes, OpenProcess, OpenProcessToken,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_TERMINATE, QueryFullProcessImageNameW,
    TerminateProcess,
};

/// Limit: processes that are listed.
const ENTRIES_MAX: usize = 100_000;

/// Limit: 16-bit units of a path, a name or a command line; the system's own limit is 32767.
const UNITS_MAX: usize = 32_768;

/// A row of the list of processes, which every user may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its process id.
    pub pid: u32,
    /// The process that started it; it may have ended, and its number may be another's now.
    pub parent: u32,
    /// The name of its program: `python.exe`.
    pub name: String,
}

/// What a process lets this user know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The path of its program.
    pub program: Option<String>,
    /// Its command line, as one text with the quotes of whoever started it.
    pub command_line: Option<String>,
    /// Its user, as `DOMAIN\name`.
    pub user: Option<String>,
    /// When it was started, in units of 100 ns since 1601.
    pub started: Option<u64>,
    /// How long its threads have run, in units of 100 ns.
    pub ran: Option<u64>,
}

/// All processes; empty when the system does not list them.
#[must_use]
pub fn all() -> Vec<Entry> {
    // SAFETY: takes two numbers; what it opens is closed when it drops.
    let Some(list) = super::owned(unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) })
    else {
        return Vec::new();
    };
    let size = u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or_default();
    let mut row = PROCESSENTRY32W { dwSize: size, ..PROCESSENTRY32W::default() };
    let mut found = Vec::new();
    // SAFETY: the list is open, and the row says how large it is.
    let mut is_there = unsafe { Process32FirstW(list.as_raw_handle(), &raw mut row) } != 0;
    while is_there && found.len() < ENTRIES_MAX {
        let name = super::text(&row.szExeFile);
        found.push(Entry { pid: row.th32ProcessID, parent: row.th32ParentProcessID, name });
        // SAFETY: as above.
        is_there = unsafe { Process32NextW(list.as_raw_handle(), &raw mut row) } != 0;
    }
    found
}

/// What a process lets this user know; `None` when it is not there or lets nothing be known.
#[must_use]
pub fn facts(pid: u32) -> Option<Facts> {
    let process = open(pid, PROCESS_QUERY_LIMITED_INFORMATION)?;
    let (started, ran) = times(&process).unzip();
    Some(Facts {
        program: program(&process),
        command_line: command_line(&process),
        user: user(&process),
        started,
        ran,
    })
}

/// Whether a process runs; one that may not be asked does.
#[must_use]
pub fn is_running(pid: u32) -> bool {
    let Some(process) = open(pid, PROCESS_QUERY_LIMITED_INFORMATION) else {
        // SAFETY: reads a number of this thread.
        return unsafe { GetLastError() } == ERROR_ACCESS_DENIED;
    };
    let mut code = 0_u32;
    // SAFETY: the process is open, and `code` outlives the call.
    let done = unsafe { GetExitCodeProcess(process.as_raw_handle(), &raw mut code) };
    done != 0 && code.cast_signed() == STILL_ACTIVE
}

/// Ends a process at once; whether the system did it.
#[must_use]
pub fn end(pid: u32) -> bool {
    open(pid, PROCESS_TERMINATE).is_some_and(|process| {
        // SAFETY: the process is open with the right to end it.
        unsafe { TerminateProcess(process.as_raw_handle(), 1) != 0 }
    })
}

/// Ends a process and those that it and they started, as far as this user may.
pub fn end_tree(root: u32) {
    let entries = all();
    let started = |pid: u32| facts(pid).and_then(|facts| facts.started);
    let mut tree: Vec<u32> = vec![root];
    let mut seen = HashSet::from([root]);
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        next += 1;
        let since = started(parent);
        let children = entries.iter().filter(|entry| entry.parent == parent && entry.pid != 0);
        for child in children {
            // A child that is older than its parent is the child of an earlier owner of the number.
            let is_older = since.zip(started(child.pid)).is_some_and(|(parent, own)| own < parent);
            if !is_older && seen.insert(child.pid) {
                tree.push(child.pid);
            }
        }
    }
    for pid in tree {
        // One that is gone already is what is wanted.
        let _ended = end(pid);
    }
}

fn open(pid: u32, rights: u32) -> Option<OwnedHandle> {
    // SAFETY: takes numbers alone; what it opens is closed when it drops.
    super::owned(unsafe { OpenProcess(rights, 0, pid) })
}

fn program(process: &OwnedHandle) -> Option<String> {
    let mut units = vec![0_u16; UNITS_MAX];
    let mut length = u32::try_from(units.len()).ok()?;
    let handle = process.as_raw_handle();
    // SAFETY: `length` says how many units there is room for.
    let done =
        unsafe { QueryFullProcessImageNameW(handle, 0, units.as_mut_ptr(), &raw mut length) };
    (done != 0).then(|| super::text(&units)).filter(|path| !path.is_empty())
}

/// The command line: a `UNICODE_STRING`, whose text lies behind it in the same bytes.
fn command_line(process: &OwnedHandle) -> Option<String> {
    // Eight bytes each, as the pointer in it wants them.
    let mut words = vec![0_u64; UNITS_MAX / 4 + 2];
    let bytes = u32::try_from(words.len() * 8).ok()?;
    let mut written = 0_u32;
    let (handle, to) = (process.as_raw_handle(), words.as_mut_ptr().cast());
    // SAFETY: the system writes at most `bytes` bytes into `words`.
    let status = unsafe {
        NtQueryInformationProcess(
            handle,
            ProcessCommandLineInformation,
            to,
            bytes,
            &raw mut written,
        )
    };
    if status < 0 {
        return None;
    }
    let place = words.as_ptr().addr();
    let raw: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let length = usize::from(u16::from_ne_bytes(raw.get(..2)?.try_into().ok()?));
    let pointer = usize::from_ne_bytes(raw.get(8..8 + size_of::<usize>())?.try_into().ok()?);
    let begin = pointer.checked_sub(place)?;
    let text = raw.get(begin..begin.checked_add(length)?)?;
    let units: Vec<u16> = text
        .chunks_exact(2)
        .filter_map(|two| Some(u16::from_ne_bytes(two.try_into().ok()?)))
        .collect();
    Some(super::text(&units)).filter(|line| !line.is_empty())
}

/// When it was started, and how long it ran.
fn times(process: &OwnedHandle) -> Option<(u64, u64)> {
    let none = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let (mut started, mut ended, mut kernel, mut own) = (none, none, none, none);
    // SAFETY: the process is open, and the four moments outlive the call.
    let done = unsafe {
        GetProcessTimes(
            process.as_raw_handle(),
            &raw mut started,
            &raw mut ended,
            &raw mut kernel,
            &raw mut own,
        )
    };
    let number =
        |time: FILETIME| (u64::from(time.dwHighDateTime) << 32) | u64::from(time.dwLowDateTime);
    (done != 0).then(|| (number(started), number(kernel).saturating_add(number(own))))
}

/// `DOMAIN\name` of the user a process runs as; other users' processes tell it to administrators.
fn user(process: &OwnedHandle) -> Option<String> {
    let mut token = null_mut();
    // SAFETY: the process is open; what is opened is closed when it drops.
    let done = unsafe { OpenProcessToken(process.as_raw_handle(), TOKEN_QUERY, &raw mut token) };
    let token = super::owned(token).filter(|_| done != 0)?;
    let mut words = [0_u64; 64];
    let bytes = u32::try_from(size_of_val(&words)).ok()?;
    let (handle, to) = (token.as_raw_handle(), words.as_mut_ptr().cast());
    let mut written = 0_u32;
    // SAFETY: the system writes at most `bytes` bytes into `words`, which is aligned for pointers.
    let done = unsafe { GetTokenInformation(handle, TokenUser, to, bytes, &raw mut written) };
    let large = usize::try_from(written).ok()? >= size_of::<TOKEN_USER>();
    (done != 0 && large).then_some(())?;
    // SAFETY: the call above has put a `TOKEN_USER` at the beginning of `words`.
    let sid = unsafe { words.as_ptr().cast::<TOKEN_USER>().read() }.User.Sid;
    let (mut name, mut domain) = ([0_u16; 256], [0_u16; 256]);
    let (mut name_length, mut domain_length) = (256_u32, 256_u32);
    let mut kind = 0;
    // SAFETY: the identifier lies in `words`, which live on; both texts have the length they say.
    let done = unsafe {
        LookupAccountSidW(
            null(),
            sid,
            name.as_mut_ptr(),
            &raw mut name_length,
            domain.as_mut_ptr(),
            &raw mut domain_length,
            &raw mut kind,
        )
    };
    (done != 0).then_some(())?;
    let (name, domain) = (super::text(&name), super::text(&domain));
    Some(if domain.is_empty() { name } else { format!("{domain}\\{name}") })
}

#[cfg(test)]
mod tests {
    use super::{all, end_tree, facts, is_running};

    #[test]
    fn this_process_is_listed_with_its_program_words_user_and_start() {
        let pid = std::process::id();
        let own = all().into_iter().find(|entry| entry.pid == pid).unwrap();
        let program = std::env::current_exe().unwrap();
        assert_eq!(own.name, program.file_name().unwrap().to_str().unwrap());
        let facts = facts(pid).unwrap();
        assert!(facts.program.unwrap().ends_with(&own.name));
        // Imitations of Windows do not tell command lines.
        let name = own.name.trim_end_matches(".exe");
        assert!(facts.command_line.is_none_or(|line| line.contains(name)));
        assert!(!facts.user.unwrap().is_empty());
        assert!(facts.started.unwrap() > 0 && facts.ran.is_some());
    }

    #[test]
    fn a_process_that_is_not_there_has_no_facts() {
        // Process ids are multiples of four.
        assert_eq!(facts(0xffff_fff3), None);
        assert!(!is_running(0xffff_fff3));
    }

    #[test]
    fn a_tree_ends_with_its_root() {
        let mut child = std::process::Command::new("cmd.exe")
            .args(["/c", "cmd.exe /c pause"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let root = child.id();
        assert!(is_running(root));
        end_tree(root);
        assert!(!child.wait().unwrap().success());
        assert!(!is_running(root));
        assert!(!all().iter().any(|entry| entry.parent == root && is_running(entry.pid)));
    }
}
