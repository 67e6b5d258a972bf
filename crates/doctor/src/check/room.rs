//! Rung 0: this program itself may open the descriptors that the other checks need.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use super::{About, Check, Pending, Step, no_address};
use crate::case::Case;
use crate::report::{Fix, Verdict};

/// See the module.
pub(crate) struct Room;

/// Descriptors that a whole run needs at the same time, with some to spare.
const NEEDED: usize = 12;

/// The system's numbers for "this process has too many" and "all processes have too many".
const TOO_MANY: &[i32] = if cfg!(windows) { &[10024] } else { &[24, 23] };

impl Check for Room {
    fn about(&self) -> About {
        About {
            id: "room",
            title: "descriptors of this program",
            proves: "this program may open the sockets and files that the other checks need",
            rung: 0,
            budget: Duration::from_millis(200),
            verdicts: &["resource.own_fd_limit"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        case.target.as_ref().err().and_then(|_| no_address(case))
    }

    fn run<'a>(&'a self, _case: &'a Case) -> Pending<'a> {
        Box::pin(async { look() })
    }
}

/// Opens as many sockets as are needed, and closes them again; they are bound to nothing that
/// anybody could send to.
fn look() -> Step {
    let mut open = Vec::new();
    while open.len() < NEEDED {
        match UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            Ok(socket) => open.push(socket),
            Err(error) if error.raw_os_error().is_some_and(|code| TOO_MANY.contains(&code)) => {
                return Step::name(full(open.len(), &error));
            }
            // A sandbox, or no loopback: others tell.
            Err(error) => return Step::cannot_tell(format!("no socket can be opened: {error}")),
        }
    }
    Step::pass(format!("{NEEDED} more sockets can be opened"))
}

fn full(count: usize, error: &std::io::Error) -> Verdict {
    let limit = limit();
    let of = limit.map_or_else(String::new, |limit| format!(" of its limit of {limit}"));
    let sentence = format!(
        "this program itself has too few descriptors left to look: {count}{of}, and {NEEDED} are \
         needed"
    );
    Verdict::certain("resource.own_fd_limit", sentence)
        .because(format!("a socket more ends with: {error}"))
        .fix(Fix::run("raise the limit of this shell, and look again", "ulimit -n 4096"))
}

/// The soft limit of open files.
fn limit() -> Option<u64> {
    // A file cannot be opened now; the system is asked without one.
    #[cfg(unix)]
    {
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current
    }
    #[cfg(not(unix))]
    None
}
