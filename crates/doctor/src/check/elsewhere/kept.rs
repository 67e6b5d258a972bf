//! The system itself keeps a port from every program of this user: Windows and its reserved ranges.

use std::io::Error;

use crate::report::{Fix, Verdict};

/// `WSAEACCES`: on Windows, a port that Hyper-V, WSL or Docker had reserved.
const WSAEACCES: i32 = 10013;

/// What a refusal to bind `port` means on the system `os`; `None` when others know more.
pub(super) fn name(port: u16, error: &Error, os: &str) -> Option<Verdict> {
    if os != "windows" || error.raw_os_error() != Some(WSAEACCES) {
        return None;
    }
    let sentence = format!(
        "nothing listens on port {port}, and Windows lets no program have it: it reserved a range \
         with this port (Hyper-V, WSL and Docker do that)"
    );
    Some(
        Verdict::likely("listen.excluded_range", sentence)
            .because(format!("the port cannot be bound: {error}"))
            .fix(Fix::run(
                "see the reserved ranges, and give the server a port outside them",
                "netsh interface ipv4 show excludedportrange protocol=tcp",
            ))
            .fix(Fix::run_as_root(
                "or, as administrator, take the port out of them for good",
                format!(
                    "net stop winnat && netsh int ipv4 add excludedportrange protocol=tcp \
                     startport={port} numberofports=1 && net start winnat"
                ),
            )),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::{WSAEACCES, name};

    #[test]
    fn a_range_that_windows_reserved_is_told_from_other_refusals() {
        let verdict = name(61900, &Error::from_raw_os_error(WSAEACCES), "windows").unwrap();
        assert_eq!(verdict.id, "listen.excluded_range");
        let commands: Vec<_> = verdict.fix.iter().filter_map(|fix| fix.command.clone()).collect();
        assert!(commands[0].contains("show excludedportrange"), "{commands:?}");
        assert!(commands[1].contains("startport=61900"), "{commands:?}");
        assert!(verdict.fix[1].needs_root);
        // 10048 is "address in use"; 13 is what Linux says of a low port.
        for (code, os) in [(10048, "windows"), (WSAEACCES, "linux"), (13, "linux")] {
            assert_eq!(name(80, &Error::from_raw_os_error(code), os), None, "{code} {os}");
        }
    }
}
