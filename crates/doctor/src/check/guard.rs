//! Rung 6: which antivirus, EDR or local firewall may have ended the connection.

use std::time::Duration;

use super::note::Note;
use super::{About, Check, Pending, Step};
use crate::case::{Case, Learned};
use crate::guards::{Guard, among};
use crate::probe::http::End;
use crate::report::Fix;

/// See the module.
pub(crate) struct Guards;

/// Verdicts of connections that were dropped, reset or looked into, which such products do.
const CONCERNS: &[&str] = &[
    "firewall.drop",
    "firewall.intermittent",
    "firewall.reject",
    "net.loopback_blocked",
    "net.timeout",
    "tcp.closed_at_once",
    "tcp.reset",
    "tls.unknown_ca",
];

impl Check for Guards {
    fn about(&self) -> About {
        About {
            id: "guard",
            title: "antivirus, EDR and local firewalls",
            proves: "no product that is known to filter connections runs where one was ended",
            rung: 6,
            budget: Duration::from_secs(1),
            verdicts: &[],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if case.target.is_err() || case.facts.invalid_port.is_some() {
            return Some("the address has no port".to_owned());
        }
        (!was_ended(case)).then(|| "no connection was dropped or reset".to_owned())
    }

    fn run<'a>(&'a self, _case: &'a Case) -> Pending<'a> {
        Box::pin(look())
    }
}

/// Whether a connection ended, or was looked into, in a way that such a product explains.
fn was_ended(case: &Case) -> bool {
    use crate::probe::dial::Dialed;
    let facts = &case.facts;
    let answers = facts.spoken.as_ref().is_some_and(|spoken| spoken.protocol.is_some());
    let is_secured = facts.spoken.as_ref().is_some_and(|spoken| spoken.tls.is_some());
    let cut = facts.spoken.as_ref().and_then(|spoken| spoken.reply.as_ref());
    let cut = cut.is_some_and(|reply| matches!(reply.stop, End::Reset | End::Closed));
    let no_way = facts.dials.iter().any(|dial| dial.dialed != Dialed::Connected);
    let failed = facts.connected.is_none() && no_way && !facts.nothing_listens;
    failed || !answers || cut || is_secured
}

async fn look() -> Step {
    let running = tokio::task::spawn_blocking(crate::sockets::running);
    let running = running.await.unwrap_or_default();
    let found = among(&running, std::env::consts::OS);
    if found.is_empty() {
        return Step::pass("no product that is known here runs");
    }
    let lines: Vec<String> = found.iter().map(line).collect();
    let names: Vec<&str> = found.iter().map(|guard| guard.name.as_str()).collect();
    let names = names.join(", ");
    let mut note = Note::on(CONCERNS);
    note.only_unproved = true;
    note.evidence.clone_from(&lines);
    note.fix = vec![Fix::say(format!(
        "look into the log of {names} for this program and port, and let its administrator allow \
         them there; do not switch it off"
    ))];
    Step::pass(format!("{names} may filter connections here"))
        .seen(lines)
        .learned(Learned::Note(Box::new(note)))
}

fn line(guard: &Guard) -> String {
    format!("{} may end connections on this machine: {}", guard.name, guard.proof)
}
