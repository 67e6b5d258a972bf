//! Follows the socket calls of a program that is started here, and of what that starts (ptrace).

use std::collections::HashMap;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};

/// Limit: bytes of an address that are read; the longest is that of a UNIX socket.
const ADDRESS_BYTES_MAX: usize = 128;

/// What is asked for the system call at which a process stopped.
const GET_SYSCALL_INFO: Request = 0x420e;
/// Bytes of `struct ptrace_syscall_info` that are read.
const INFO_BYTES: usize = 88;
/// Its kinds: before the call, after it.
const ENTRY: u8 = 1;
const EXIT: u8 = 2;

/// The processor's calls by their numbers; those of 32-bit programs have others.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: u32 = 0;

/// The kind of request, as the C library has it.
#[cfg(target_env = "musl")]
type Request = libc::c_int;
#[cfg(not(target_env = "musl"))]
type Request = libc::c_uint;

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The process, or its thread.
    pub pid: u32,
    /// `bind`, `listen`, `accept` or `connect`.
    pub name: &'static str,
    /// The descriptor of the socket.
    pub socket: i32,
    /// `struct sockaddr`, for `bind` and `connect`.
    pub address: Vec<u8>,
    /// The number of the error, when it failed.
    pub error: Option<i32>,
}

/// Starts `command`, hands it to `started`, and follows it to its end; `each` gets every call.
///
/// Runs on the calling thread, which must not be one that waits for other children. Whatever the
/// command started and still runs then is killed when that thread ends.
///
/// # Errors
/// `Unsupported` on processors whose calls are not known; what `spawn` says; `PermissionDenied`
/// where processes may not be followed.
pub fn run(
    command: &mut Command,
    started: impl FnOnce(&mut Child),
    mut each: impl FnMut(Call),
) -> io::Result<ExitStatus> {
    if ARCHITECTURE == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let follow_me = || match request(libc::PTRACE_TRACEME, 0, 0) {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    // SAFETY: between fork and exec only one system call is made and `errno` read; nothing is
    // allocated and no lock is taken.
    unsafe { command.pre_exec(follow_me) };
    let mut child = command.spawn()?;
    let ended = follow(&mut child, started, &mut each);
    if ended.is_err() {
        // Nobody would let it go on.
        let _gone = child.kill();
    }
    ended
}

fn follow(
    child: &mut Child,
    started: impl FnOnce(&mut Child),
    each: &mut impl FnMut(Call),
) -> io::Result<ExitStatus> {
    let main = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    // It stops when it has become the command.
    let mut status = 0;
    wait(main, &mut status)?;
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SETOPTIONS, main, usize::try_from(options).unwrap_or_default());
    started(child);
    request(libc::PTRACE_SYSCALL, main, 0);
    let mut open = HashMap::new();
    loop {
        let pid = wait(-1, &mut status)?;
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            open.remove(&pid);
            if pid == main {
                return Ok(ExitStatus::from_raw(status));
            }
            continue;
        }
        let signal = stopped(pid, status, &mut open, each);
        // A process that is gone meanwhile is told of by the next wait.
        request(libc::PTRACE_SYSCALL, pid, usize::try_from(signal).unwrap_or_default());
    }
}

/// Reads why a process stopped; the signal that it is to get.
fn stopped(
    pid: libc::pid_t,
    status: i32,
    open: &mut HashMap<libc::pid_t, Option<Call>>,
    each: &mut impl FnMut(Call),
) -> i32 {
    const AT_CALL: i32 = libc::SIGTRAP | 0x80;
    let signal = libc::WSTOPSIG(status);
    let is_new = !open.contains_key(&pid);
    let place = open.entry(pid).or_insert(None);
    match signal {
        AT_CALL => {
            match info(pid) {
                Some(Stop::Before(call)) => *place = call,
                Some(Stop::After(error)) => {
                    if let Some(call) = place.take() {
                        each(Call { error, ..call });
                    }
                }
                None => {}
            }
            0
        }
        // Forks, threads and new programs stop with this one and say so; without that it is theirs.
        libc::SIGTRAP if status >> 16 != 0 => 0,
        // A process that is followed from its birth begins with a stop.
        libc::SIGSTOP if is_new => 0,
        signal => signal,
    }
}

enum Stop {
    Before(Option<Call>),
    After(Option<i32>),
}

fn info(pid: libc::pid_t) -> Option<Stop> {
    let mut bytes = [0_u8; INFO_BYTES];
    // SAFETY: the kernel writes at most as many bytes as the third argument says into the buffer,
    // which is that long and lives until the call is over.
    let count = unsafe {
        libc::ptrace(GET_SYSCALL_INFO, pid, INFO_BYTES, bytes.as_mut_ptr().cast::<libc::c_void>())
    };
    if count <= 0 {
        return None;
    }
    let word = |at: usize| {
        let part = bytes.get(at..at + 8)?;
        Some(u64::from_ne_bytes(part.try_into().ok()?))
    };
    let architecture = u32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
    match bytes.first().copied()? {
        ENTRY if architecture == ARCHITECTURE => {
            let number = i64::try_from(word(24)?).ok()?;
            let arguments = [word(32)?, word(40)?, word(48)?];
            Some(Stop::Before(call(pid, number, arguments)))
        }
        ENTRY => Some(Stop::Before(None)),
        EXIT => {
            let value = i64::from_ne_bytes(word(24)?.to_ne_bytes());
            let failed = bytes.get(32).copied()? != 0;
            let error = failed.then(|| i32::try_from(value.saturating_neg()).ok()).flatten();
            Some(Stop::After(error))
        }
        _ => None,
    }
}

fn call(pid: libc::pid_t, number: i64, [socket, at, length]: [u64; 3]) -> Option<Call> {
    let name = match number {
        libc::SYS_bind => "bind",
        libc::SYS_listen => "listen",
        libc::SYS_accept | libc::SYS_accept4 => "accept",
        libc::SYS_connect => "connect",
        _ => return None,
    };
    let has_address = matches!(name, "bind" | "connect");
    let address = if has_address { memory(pid, at, length) } else { None };
    let socket = i32::from_ne_bytes(socket.to_le_bytes().get(..4)?.try_into().ok()?);
    Some(Call {
        pid: u32::try_from(pid).ok()?,
        name,
        socket,
        address: address.unwrap_or_default(),
        error: None,
    })
}

/// Bytes of another process.
fn memory(pid: libc::pid_t, at: u64, length: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok()?.min(ADDRESS_BYTES_MAX);
    let mut file = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    file.seek(SeekFrom::Start(at)).ok()?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn wait(pid: libc::pid_t, status: &mut i32) -> io::Result<libc::pid_t> {
    loop {
        // Children of other threads are theirs.
        // SAFETY: the kernel writes one number to a place that lives until the call is over.
        let found = unsafe { libc::waitpid(pid, status, libc::__WALL | libc::__WNOTHREAD) };
        let error = io::Error::last_os_error();
        match found {
            -1 if error.raw_os_error() == Some(libc::EINTR) => {}
            -1 => return Err(error),
            found => return Ok(found),
        }
    }
}

/// A request that reads and writes no memory.
fn request(what: Request, pid: libc::pid_t, data: usize) -> libc::c_long {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the requests made here take a number and no address.
    unsafe { libc::ptrace(what, pid, none, data) }
}

#[cfg(test)]
mod tests {
    use super::run;
    use std::process::Command;

    #[test]
    fn the_calls_of_a_command_and_of_its_children_are_seen_with_their_errors() {
        let script = "import socket, os\n\
            one = socket.socket(); one.bind(('127.0.0.1', 0)); one.listen(1)\n\
            if os.fork() == 0:\n    two = socket.socket()\n    \
            try: two.bind(one.getsockname())\n    except OSError: os._exit(0)\n\
            os.wait()\nraise SystemExit(3)\n";
        let mut command = Command::new("python3");
        command.args(["-c", script]);
        let (mut calls, mut pid) = (Vec::new(), 0);
        let ended = run(&mut command, |child| pid = child.id(), |call| calls.push(call)).unwrap();
        assert_eq!(ended.code(), Some(3));
        // An interpreter may ask services of its machine for names before it begins.
        calls.retain(|call| call.name != "connect");
        let seen: Vec<_> = calls.iter().map(|call| (call.name, call.error)).collect();
        assert_eq!(seen, [("bind", None), ("listen", None), ("bind", Some(libc::EADDRINUSE))]);
        assert_eq!(calls[0].pid, pid);
        assert_ne!(calls[2].pid, pid);
        // The family, then the port of the one that listens.
        assert_eq!(calls[0].address[..4], [2, 0, 0, 0]);
        assert_ne!(calls[2].address[2..4], [0, 0]);
    }

    #[test]
    fn a_signal_that_the_program_sends_itself_is_its_own() {
        let script = "import os, signal\n\
            signal.signal(signal.SIGTRAP, lambda *_: os._exit(5))\n\
            os.kill(os.getpid(), signal.SIGTRAP)\n";
        let mut command = Command::new("python3");
        command.args(["-c", script]);
        assert_eq!(run(&mut command, |_| {}, |_| {}).unwrap().code(), Some(5));
    }

    #[test]
    fn a_command_that_is_not_there_is_no_command() {
        let run = run(&mut Command::new("/no/such/program"), |_| {}, |_| {});
        assert_eq!(run.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}
