//! Rung 5: large requests arrive as small ones do; nothing on the way drops packets by their size.

use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::firewall::{Look, Way, look};
use crate::probe::http::Answer;
use crate::probe::talk::{Line, Question};
use crate::report::{Fix, Verdict};
use crate::routes::path;
use crate::sockets::{Connection, table};

/// See the module.
pub(crate) struct Size;

/// Limit: each of the two requests; TCP sends a lost packet again within a fifth of a second.
const LIMIT: Duration = Duration::from_millis(1300);

/// When the socket of a request without an answer is looked at.
const LOOKED_AT: Duration = Duration::from_millis(900);

/// Bytes of the header: two packets of Ethernet, and less than any server refuses.
const LARGE: usize = 3000;

/// A whole packet with such a header, for rules that go by the size.
const PACKET: u32 = 3200;

/// The same for the packets of an Ethernet.
const SAFE_MTU: u32 = 1280;

impl Check for Size {
    fn about(&self) -> About {
        About {
            id: "size",
            title: "large requests",
            proves: "a request of 3000 bytes is answered as a small one is",
            rung: 5,
            budget: Duration::from_millis(3500),
            verdicts: &["tcp.mtu_blackhole"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        case.facts.answer().is_none().then(|| "no HTTP answer".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(ask(case))
    }
}

async fn ask(case: &Case) -> Step {
    let (Some(line), Some(answer)) = (case.line(), case.facts.answer()) else {
        return Step::cannot_tell("there is no HTTP answer");
    };
    let padding = "x".repeat(LARGE);
    let large = [("X-Doctor-Padding", padding.as_str())];
    let port = line.address.port();
    let watch = async {
        tokio::time::sleep(LOOKED_AT).await;
        tokio::task::spawn_blocking(move || stuck(port)).await.ok().flatten()
    };
    // The watch goes on only as long as there is no answer.
    let (answered, stuck) = tokio::select! {
        answer = once(&line, &answer.path, &large) => (answer, None),
        stuck = watch => (None, stuck),
    };
    if let Some(answer) = answered {
        return Step::pass(format!("{LARGE} bytes of headers gave HTTP {}", answer.status));
    }
    let Some(stuck) = stuck else {
        return Step::pass(format!("a request of {LARGE} bytes arrived, and its answer is slow"));
    };
    if once(&line, &answer.path, &[]).await.is_none() {
        return Step::cannot_tell("the server has stopped to answer small requests as well");
    }
    let to = line.address.ip();
    let is_local = case.facts.names.as_ref().is_some_and(|names| names.is_local);
    let way = Way { to, port, is_local, length: Some(PACKET) };
    let seen = tokio::task::spawn_blocking(move || (path(to), look(way))).await.ok();
    Step::name(blackhole(port, stuck, seen))
}

async fn once(line: &Line, path: &str, headers: &[(&str, &str)]) -> Option<Answer> {
    let question = Question { method: "GET", path, headers, body: "", limit: LIMIT };
    line.ask(&question).await.1
}

/// A connection to the port whose bytes were sent more than once, and never confirmed.
fn stuck(port: u16) -> Option<Connection> {
    let large = u32::try_from(LARGE).unwrap_or_default();
    let own = table().ok()?.connections;
    let mut found = own.into_iter().filter(|one| one.remote_port == port && one.is_established);
    found.find(|one| one.unsent >= large && one.retransmits > 0)
}

fn blackhole(
    port: u16,
    stuck: Connection,
    seen: Option<(Option<crate::routes::Path>, Look)>,
) -> Verdict {
    let sentence = format!(
        "small requests to port {port} are answered, and large ones never arrive: packets are \
         dropped by their size"
    );
    let mut verdict = Verdict::likely("tcp.mtu_blackhole", sentence).because(format!(
        "{} bytes were sent {} times over and not confirmed, and a small request after them was \
         answered",
        stuck.unsent, stuck.retransmits
    ));
    let (path, rules) = match seen {
        Some((path, look)) => (path, Some(look)),
        None => (None, None),
    };
    if let Some(Look::Read { culprits, .. }) = rules
        && let Some(culprit) = culprits.iter().rfind(|one| one.is_sure)
    {
        verdict.evidence.push(culprit.line());
        verdict.confidence = crate::report::Confidence::Certain;
        verdict.fix.clone_from(&culprit.fixes);
        return verdict;
    }
    let interface = path.as_ref().map_or("lo", |path| path.interface.as_str());
    let mtu = path.as_ref().and_then(|path| path.mtu);
    verdict
        .because_all(mtu.map(|mtu| format!("{interface} sends packets of up to {mtu} bytes")))
        .fix(Fix::run_as_root(
            "send smaller packets, and tell who keeps the VPN or firewall on the way",
            format!("sudo ip link set dev {interface} mtu {SAFE_MTU}"),
        ))
}
