//! The verdict for a real port on which nothing listens: the server is elsewhere, or not up.

use super::absent;
use super::confined;
use super::impossible::start;
use super::look::look_at;
use crate::case::{Case, Learned};
use crate::check::{Step, is_loopback_host};
use crate::port::HOME;
use crate::report::{Fix, Neighbour, Verdict};
use crate::sockets::{Listener, Process, names_number, processes_naming};

/// Limit: how many other ports are asked.
const LOOKED_AT_MAX: usize = 6;

/// Ports this close are taken for a slip, or for the next one a server chose.
const CLOSE: u16 = 10;

pub(super) async fn look(case: &Case) -> Step {
    let Some(port) = case.facts.port else {
        return Step::cannot_tell("there is no port");
    };
    let url = |port: u16| case.address().map_or_else(String::new, |target| target.url(port));
    let Some(listeners) = case.facts.listeners() else {
        let sentence = format!("connections to port {port} are refused, so nothing listens there");
        return Step::name(start(Verdict::likely("listen.none", sentence), port, &url(port)));
    };
    if !is_loopback_host(case.host()) {
        let verdict = none(case, port);
        return Step::name(start(verdict, port, &url(port)));
    }
    let neighbours = look_at(near(port, listeners), Some(listeners)).await;
    let number = port.to_string();
    let naming = tokio::task::spawn_blocking(move || processes_naming(&number)).await;
    let starting =
        naming.unwrap_or_default().into_iter().find(|p| was_started_for(&p.command, port));
    let Some(Ok(table)) = &case.facts.table else {
        return Step::cannot_tell("the socket table is not there");
    };
    if starting.is_none()
        && let Some(verdict) = confined::around(port).await
    {
        return Step::name(verdict).learned(Learned::Neighbours(neighbours));
    }
    if let Some(verdict) = absent::name(case, port, table).await {
        return Step::name(verdict).learned(Learned::Neighbours(neighbours));
    }
    if let Some(verdict) = starting.as_ref().and_then(|p| absent::of_process(port, p, table)) {
        return Step::name(verdict).learned(Learned::Neighbours(neighbours));
    }
    if let Some(verdict) = confined::forbidden(port, starting.as_ref()) {
        return Step::name(verdict).learned(Learned::Neighbours(neighbours));
    }
    let verdict = match (starting, answering(&neighbours)) {
        (Some(process), _) => started(port, &process, listeners, &url),
        (None, Some(found)) => {
            let sentence =
                format!("nothing listens on port {port}, but a server does on {}", found.port);
            Verdict::likely("listen.other_port", sentence)
                .because(found.brief())
                .fix(Fix::run("use that port", format!("curl {}", url(found.port))))
        }
        (None, None) => start(none(case, port), port, &url(port)),
    };
    Step::name(verdict).learned(Learned::Neighbours(neighbours))
}

fn none(case: &Case, port: u16) -> Verdict {
    let sentence = format!("nothing listens on port {port} of this machine");
    let verdict = Verdict::certain("listen.none", sentence)
        .because("the socket table has no listening socket with that port")
        .because_all(case.facts.dials.iter().map(crate::probe::dial::Dial::line));
    let Some(Ok(table)) = &case.facts.table else { return verdict };
    let mut uses = table.connections.iter().filter(|connection| connection.port == port);
    match uses.next() {
        Some(connection) if connection.is_time_wait => verdict.because(
            "an old connection of that port is still being forgotten (TIME_WAIT, a minute)",
        ),
        Some(_) => verdict.because("the port is the local end of an outgoing connection just now"),
        None => verdict,
    }
}

/// Listening ports that look like `port` mistyped, or lie close by; and the home port.
fn near(port: u16, listeners: &[Listener]) -> Vec<(u16, String)> {
    let mut found: Vec<(u16, String)> = Vec::new();
    let mut rows: Vec<&Listener> = listeners.iter().collect();
    rows.sort_by_key(|row| row.port.abs_diff(port));
    for other in rows.iter().map(|row| row.port) {
        let reason = if looks_like(port, other) {
            "a typing mistake away"
        } else if other.abs_diff(port) <= CLOSE {
            "close by"
        } else if other == HOME {
            "the home port"
        } else {
            continue;
        };
        if !found.iter().any(|(known, _)| *known == other) && found.len() < LOOKED_AT_MAX {
            found.push((other, reason.to_owned()));
        }
    }
    found
}

/// Whether one number becomes the other by dropping, changing, swapping or moving one digit.
pub(super) fn looks_like(left: u16, right: u16) -> bool {
    let (left, right) = (left.to_string(), right.to_string());
    if left == right {
        return false;
    }
    if left.len() == right.len() {
        // Whatever was done to one digit, the others are the same and in the same order.
        return shorter(&left).any(|rest| shorter(&right).any(|other| rest == other));
    }
    let (long, short) = if left.len() > right.len() { (&left, &right) } else { (&right, &left) };
    shorter(long).any(|rest| rest == *short)
}

/// The text without one digit, for each of its digits.
fn shorter(digits: &str) -> impl Iterator<Item = String> {
    (0..digits.len()).map(move |skip| {
        digits.chars().enumerate().filter(|(at, _)| *at != skip).map(|(_, digit)| digit).collect()
    })
}

/// The one other port that answers as a server; several are no evidence for any.
fn answering(neighbours: &[Neighbour]) -> Option<&Neighbour> {
    let ours = neighbours.iter().filter(|found| found.answers == "rapport").collect::<Vec<_>>();
    let http = neighbours
        .iter()
        .filter(|found| matches!(found.answers, "http" | "mcp") && found.port != HOME);
    let http = http.collect::<Vec<_>>();
    match (ours.as_slice(), http.as_slice()) {
        ([only], _) => Some(only),
        ([], [only]) => Some(only),
        _ => None,
    }
}

/// Flags with which programs are told their port.
const PORT_FLAGS: &[&str] = &["--port", "-p", "--listen", "--bind", "-b", "--http-port", "--addr"];

/// Whether a command line tells its program to listen on `port`.
pub(crate) fn was_started_for(command: &str, port: u16) -> bool {
    let number = port.to_string();
    let mut words = command.split(' ').peekable();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word, words.peek().copied()),
        };
        if PORT_FLAGS.contains(&flag) && value.is_some_and(|value| names_number(value, &number)) {
            return true;
        }
    }
    false
}

/// A process was told to use the port and does not listen on it.
fn started(
    port: u16,
    process: &Process,
    listeners: &[Listener],
    url: &impl Fn(u16) -> String,
) -> Verdict {
    let own = listeners.iter().find(|row| row.owner.as_ref().is_some_and(|o| o.pid == process.pid));
    match own {
        Some(row) => {
            let sentence = format!(
                "nothing listens on port {port}, and the program started for it listens on {}",
                row.port
            );
            Verdict::likely("listen.other_port", sentence)
                .because(process.to_string())
                .fix(Fix::run("use that port", format!("curl {}", url(row.port))))
        }
        None => {
            let sentence =
                format!("a program was started for port {port} and does not listen on it yet");
            Verdict::likely("listen.not_yet", sentence)
                .because(process.to_string())
                .fix(Fix::say("wait until it is ready, or read what it last wrote to its log"))
        }
    }
}
