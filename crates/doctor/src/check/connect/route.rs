//! Names the route, rule or tunnel behind a connection that finds no way.

use super::Scene;
use super::judge::worst;
use crate::check::Step;
use crate::confined::{Wish, denied};
use crate::probe::dial::{Dial, Dialed};
use crate::report::{Confidence, Fix, Verdict};
use crate::routes::{Barrier, Path, barriers, path};

/// Verdicts that a route may explain better.
const OPEN: &[&str] = &[
    "firewall.drop",
    "firewall.reject",
    "net.timeout",
    "net.unreachable",
    "sandbox.landlock",
    "tcp.refused",
];

/// Looks at the routes, when the connection failed in a way they explain.
pub(super) async fn named(mut step: Step, scene: &Scene<'_>) -> Step {
    let Some(failed) = worst(&scene.dials).cloned() else { return step };
    let known = step.verdict.as_ref();
    let is_open = known.is_none_or(|verdict| OPEN.contains(&verdict.id));
    if !is_open || !matters(failed.dialed, scene.is_local) {
        return step;
    }
    let to = failed.address.ip();
    let found = tokio::task::spawn_blocking(move || (path(to), barriers(to))).await;
    let Ok((path, barriers)) = found else { return step };
    let port = scene.port;
    let denied = (failed.dialed == Dialed::Denied)
        .then(|| denied(std::path::Path::new("/"), Wish::Connect, port, Some(std::process::id())));
    let named = match barriers.first() {
        _ if let Some(verdict) = denied.flatten() => Some(verdict.because(failed.line())),
        // Where there is a way all the same, the barrier is not on it.
        Some(barrier) if path.is_none() => Some(barred(scene, &failed, barrier)),
        _ => path.filter(Path::is_tunnel).and_then(|path| tunnel(&failed, scene, &path)),
    };
    if let Some(verdict) = named {
        step.summary.clone_from(&verdict.sentence);
        step.outcome = crate::report::Outcome::Fail;
        step.verdict = Some(verdict);
    }
    step
}

/// Failures that come from the way, and not from the server.
fn matters(dialed: Dialed, is_local: bool) -> bool {
    match dialed {
        Dialed::Denied | Dialed::NoRoute | Dialed::Other => true,
        Dialed::TimedOut | Dialed::Refused => !is_local,
        _ => false,
    }
}

fn barred(scene: &Scene<'_>, failed: &Dial, barrier: &Barrier) -> Verdict {
    let sentence = format!(
        "this machine's own routing forbids the way to {} (`{}`), as VPNs and their kill switches \
         do",
        scene.host, barrier.text
    );
    Verdict::certain("net.route_forbidden", sentence)
        .because(format!("the routing table has `{}`, and no other way", barrier.text))
        .because(failed.line())
        .fix(Fix::run_as_root(
            "end the VPN that set it, or take it away when nobody needs it",
            barrier.removal.clone(),
        ))
}

fn tunnel(failed: &Dial, scene: &Scene<'_>, path: &Path) -> Option<Verdict> {
    if failed.dialed == Dialed::Denied {
        return None;
    }
    let kind = if path.kind.is_empty() { "a tunnel" } else { path.kind.as_str() };
    let ends = match failed.dialed {
        Dialed::TimedOut => "and nothing comes back",
        Dialed::Refused => "and the port is refused there",
        _ => "and there is no way on",
    };
    let interface = &path.interface;
    let to = failed.address.ip();
    let sentence = format!(
        "packets to {} leave through the VPN interface {interface} ({kind}), {ends}",
        scene.host
    );
    let mut verdict = Verdict::likely("net.vpn", sentence)
        .because(format!("the route to {to} is {interface}, {kind}"))
        .because(failed.line())
        .fix(Fix::say(format!(
            "let the VPN leave {to} out (split tunnelling), or end it for a try"
        )))
        .fix(Fix::run("see the way it takes", format!("ip route get {to}")));
    if failed.dialed == Dialed::TimedOut {
        verdict.confidence = Confidence::Likely;
    }
    Some(verdict)
}
