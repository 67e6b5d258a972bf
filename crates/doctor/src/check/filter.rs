//! Rung 3: no rule of a packet filter turns the connection to another server.

use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::firewall::{Culprit, Deed, Look, Way, blocks, look};
use crate::report::Verdict;
use crate::sockets::{Listener, arguments};

/// See the module.
pub(crate) struct Filter;

impl Check for Filter {
    fn about(&self) -> About {
        About {
            id: "firewall",
            title: "packet filter rules",
            proves: "no firewall rule turns or ends connections to the port",
            rung: 3,
            budget: Duration::from_secs(1),
            verdicts: &["firewall.redirect"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if case.facts.connected.is_none() {
            return Some("no connection".to_owned());
        }
        let is_near = case.facts.names.as_ref().is_some_and(|names| names.is_local);
        (!is_near).then(|| "the rules of another machine cannot be read".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(read(case))
    }
}

async fn read(case: &Case) -> Step {
    let Some(address) = case.facts.connected else { return Step::cannot_tell("no connection") };
    let blocks = outside(case, address.port()).await;
    if !blocks.is_empty() {
        let summary = "this machine reaches the server, and its firewall keeps others from it";
        return Step::warn(summary).seen(blocks);
    }
    let way = Way { to: address.ip(), port: address.port(), is_local: true, length: None };
    let found = tokio::task::spawn_blocking(move || look(way)).await;
    let (rules, culprits, notes) = match found {
        Ok(Look::Read { rules, culprits, notes }) => (rules, culprits, notes),
        Ok(Look::Hidden { reason, notes }) => return Step::cannot_tell(reason).seen(notes),
        Err(_) => return Step::cannot_tell("the rules could not be read"),
    };
    let turned = culprits.iter().find_map(|one| match one.deed {
        Deed::Redirect(to) if one.is_sure && to != Some(way.port) => Some((one, to)),
        _ => None,
    });
    if let Some((culprit, to)) = turned {
        return redirected(case, culprit, to);
    }
    let lines: Vec<String> = culprits.iter().map(Culprit::line).collect();
    let summary = match (rules, lines.is_empty()) {
        (0, _) => "there are no rules".to_owned(),
        (count, true) => format!("{count} rules, none of them ends this connection"),
        (count, false) => format!("{count} rules; some may end a connection now and then"),
    };
    Step::pass(summary).seen(lines).seen(notes)
}

/// Rules that keep other machines from a server that is open to them: what is left of a question
/// of the system that somebody denied.
async fn outside(case: &Case, port: u16) -> Vec<String> {
    let rows = case.facts.listeners().unwrap_or_default();
    let open = rows.iter().find(|row| row.port == port && !row.address.is_loopback());
    let Some(pid) = open.and_then(|row| Some(row.owner.as_ref()?.pid)) else { return Vec::new() };
    let read = tokio::task::spawn_blocking(move || {
        let program = arguments(pid).into_iter().next()?;
        Some(blocks(&program, port))
    });
    read.await.ok().flatten().unwrap_or_default()
}

/// A redirection is a fault only when it takes the port away from a server that listens on it.
fn redirected(case: &Case, culprit: &Culprit, to: Option<u16>) -> Step {
    let Some(address) = case.facts.connected else { return Step::cannot_tell("no connection") };
    let rows = case.facts.listeners().unwrap_or_default();
    let on = |port: u16| rows.iter().find(|row| row.port == port).map(Listener::holder_text);
    let port = address.port();
    let elsewhere = to.map_or("another machine or port".to_owned(), |to| format!("port {to}"));
    let Some(hidden) = on(port) else {
        let summary = format!("a rule sends port {port} to {elsewhere}, and that works");
        return Step::pass(summary).seen([culprit.line()]);
    };
    let sentence = format!(
        "a firewall rule in {} sends connections to port {port} to {elsewhere}, so the server \
         that listens on {port} never sees them",
        culprit.place
    );
    let answers = to.and_then(on).map(|who| format!("the answers come from {who}"));
    let mut verdict = Verdict::certain("firewall.redirect", sentence)
        .because(culprit.line())
        .because(format!("on port {port} listens {hidden}"))
        .because_all(answers);
    verdict.fix.clone_from(&culprit.fixes);
    Step::name(verdict)
}
