//! How many connections the system's limit of open files allows.

/// Limit: open files that are not connections: the store, logs, upstreams, the runtime.
#[cfg(unix)]
const RESERVED: u64 = 256;

/// The places for connections: `wanted`, or fewer with a line that says why.
///
/// The soft limit of open files is raised to the hard one first.
#[cfg(unix)]
pub(crate) fn places(wanted: usize) -> (usize, Option<String>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // No limit at all.
    let Some(files) = files else { return (wanted, None) };
    let room = usize::try_from(files.saturating_sub(RESERVED).max(16)).unwrap_or(usize::MAX);
    if room >= wanted {
        return (wanted, None);
    }
    let text = format!(
        "only {room} of `limits.connections` = {wanted} connections are possible, because this \
         process may open {files} files: raise it with `ulimit -n`"
    );
    (room, Some(text))
}

/// The places for connections.
#[cfg(not(unix))]
pub(crate) fn places(wanted: usize) -> (usize, Option<String>) {
    (wanted, None)
}
