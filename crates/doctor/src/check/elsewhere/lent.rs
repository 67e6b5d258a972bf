//! The port is in use without a listener: by an old connection, or by one that goes out.

use crate::port::lent_range;
use crate::report::{Fix, Verdict};
use crate::sockets::{Connection, Table, holder_of};

/// Names the connection that keeps a server from the port; blocks while it looks for its process.
pub(super) fn name(port: u16, table: &Table) -> Option<Verdict> {
    let own = || table.connections.iter().filter(|one| one.port == port);
    // The far end of a connection to a listener here is that of a client.
    let serves = |one: &&Connection| table.listeners.iter().any(|row| row.port == one.remote_port);
    if let Some(open) = own().find(|one| !one.is_time_wait) {
        let lent = lent_range(port);
        return (lent.is_some() || serves(&open)).then(|| outgoing(port, open, lent));
    }
    let old = own().find(|one| !serves(one))?;
    let sentence = format!(
        "nothing listens on port {port}; it was in use until a moment ago, which keeps it from a \
         server that does not set SO_REUSEADDR"
    );
    Some(
        Verdict::likely("listen.time_wait", sentence)
            .because(format!(
                "a connection of the port with {} waits to be forgotten (TIME_WAIT, a minute)",
                old.remote_port
            ))
            .because("the port cannot be bound (address in use)")
            .fix(Fix::say(
                "start the server again; when it says \"address in use\", wait one minute, or set \
                 SO_REUSEADDR in it (Python: allow_reuse_address = True)",
            )),
    )
}

fn outgoing(port: u16, open: &Connection, lent: Option<(u16, u16)>) -> Verdict {
    let sentence = format!(
        "nothing listens on port {port}: it is the local end of an outgoing connection, so no \
         server can have it now"
    );
    let holder = holder_of(open.inode).map(|owner| format!("the connection is {owner}"));
    let range = lent.map(|(first, last)| {
        format!("this system lends the ports {first}-{last} to outgoing connections")
    });
    let verdict = Verdict::certain("listen.ephemeral_collision", sentence)
        .because(format!("it is joined to port {} of the other end", open.remote_port))
        .because_all(holder)
        .because_all(range);
    let other = lent.map_or(8765, |(first, _)| if first > 8765 { 8765 } else { 1717 });
    verdict
        .fix(Fix::say(format!("give the server a port outside that range, for example {other}")))
        .fix(Fix::run_as_root(
            "or keep the port from being lent, and start the server when the connection has ended",
            format!("sudo sysctl net.ipv4.ip_local_reserved_ports={port}"),
        ))
}
