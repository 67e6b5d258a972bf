//! Nothing listens, because something forbids it, or because "here" is the inside of a container.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::confined::{Wish, denied, of_process};
use crate::containers::inside;
use crate::probe::dial::{Dialed, dial};
use crate::report::{Fix, Verdict};
use crate::routes::path;
use crate::sockets::{Process, is_filtered};
use crate::wsl::{self, Wsl};

/// Limit: one connection to the machine around the container.
const LIMIT: Duration = Duration::from_millis(600);

/// An address of the Internet, to which the way leads through the machine around the container.
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// What forbids the program that was started for the port to listen.
pub(super) fn forbidden(port: u16, process: Option<&Process>) -> Option<Verdict> {
    let root = Path::new("/");
    if let Some(verdict) = denied(root, Wish::Listen, port, process.map(|process| process.pid)) {
        return Some(verdict.because_all(process.map(ToString::to_string)));
    }
    let process = process?;
    let filtered = is_filtered(process.pid);
    let confined = of_process(root, process.pid);
    let sentence = format!(
        "the program for port {port} runs in a sandbox and does not listen, so the sandbox may \
         forbid it"
    );
    filtered.then(|| {
        Verdict::likely("sandbox.server", sentence)
            .because(format!("{process} has a filter of system calls (Seccomp: 2)"))
            .because_all(confined)
            .fix(Fix::say(
                "let it bind in the sandbox's profile (docker run --security-opt seccomp=…), or \
                 run it outside; its log says \"Operation not permitted\"",
            ))
    })
}

/// The server is on the machine around this container, or on the Windows around this Linux.
pub(super) async fn around(port: u16) -> Option<Verdict> {
    let root = Path::new("/");
    let mark = inside(root);
    let windows = wsl::here(root).filter(|found| !found.network.shares_loopback());
    if mark.is_none() && windows.is_none() {
        return None;
    }
    let way = tokio::task::spawn_blocking(|| path(FAR)).await.ok()??;
    let host = SocketAddr::new(way.gateway?, port);
    let seen = dial(host, LIMIT).await;
    if seen.dialed != Dialed::Connected {
        return None;
    }
    let Some(mark) = mark else {
        return Some(on_windows(&windows?, host, seen.line()));
    };
    let sentence = format!(
        "this is the inside of a container, where localhost is the container itself: the server \
         on port {port} is outside"
    );
    Some(
        Verdict::certain("container.client_inside", sentence)
            .because(format!("{mark}, and nothing listens on port {port} in here"))
            .because(seen.line())
            .fix(Fix::run(
                "use the address of the machine around it",
                format!("curl http://{host}/"),
            ))
            .fix(Fix::say(
                "or its name: docker run --add-host=host.docker.internal:host-gateway, then \
                 host.docker.internal",
            )),
    )
}

/// The server runs on Windows, whose localhost is another in this mode.
fn on_windows(windows: &Wsl, host: SocketAddr, seen: String) -> Verdict {
    let port = host.port();
    let sentence = format!(
        "the server on port {port} runs on Windows, and localhost in WSL 2 is another machine's \
         (networkingMode={})",
        windows.network.name()
    );
    Verdict::certain("wsl.windows_host", sentence)
        .because(windows.evidence.clone())
        .because(seen)
        .fix(Fix::run("use the address of Windows", format!("curl http://{host}/")))
        .fix(Fix::say(
            "or share localhost: write networkingMode=mirrored under [wsl2] in \
             %UserProfile%\\.wslconfig, then run `wsl --shutdown` on Windows",
        ))
}
