//! The verdict for a number that is no port: what it stands for on this machine.

use super::look::{look_at, rank};
use crate::case::{Case, Learned};
use crate::check::{Step, is_loopback_host};
use crate::port::{HOME, InvalidPort};
use crate::report::{Confidence, Fix, Neighbour, Verdict};
use crate::sockets::{Listener, Process, processes_naming};

/// Limit: how many candidates are looked at, besides the wrapped number.
const LOOKED_AT_MAX: usize = 5;

pub(super) async fn look(case: &Case, invalid: &InvalidPort) -> Step {
    let meant = meant(case, invalid);
    let neighbours = if is_loopback_host(case.host()) {
        look_at(ports(invalid, meant), case.facts.listeners()).await
    } else {
        Vec::new()
    };
    let number = invalid.value.clone();
    let naming = tokio::task::spawn_blocking(move || processes_naming(&number)).await;
    let scene = Scene {
        invalid,
        meant,
        is_logical: case.logical.port(&invalid.value).is_some(),
        neighbours: &neighbours,
        naming: naming.unwrap_or_default(),
        listeners: case.facts.listeners().unwrap_or_default(),
    };
    let verdict = scene.verdict(|port| case.address().map_or_else(String::new, |t| t.url(port)));
    Step::name(verdict).learned(Learned::Neighbours(neighbours))
}

/// The port that was most probably meant.
fn meant(case: &Case, invalid: &InvalidPort) -> u16 {
    let logical = case.facts.port.or_else(|| case.logical.port(&invalid.value));
    logical.or_else(|| invalid.candidates.first().copied()).unwrap_or(HOME)
}

fn ports(invalid: &InvalidPort, meant: u16) -> Vec<(u16, String)> {
    let mut ports = vec![(meant, "the port that was probably meant".to_owned())];
    let others = invalid.candidates.iter().filter(|port| **port != meant);
    ports.extend(others.map(|port| (*port, "a typing mistake away".to_owned())));
    ports.truncate(LOOKED_AT_MAX);
    if invalid.value.len() == 6 {
        // One digit too many has at most six readings; the likeliest four say enough.
        ports.truncate(4);
    }
    if let Some(wrapped) = invalid.wrapped.filter(|port| *port != 0)
        && !ports.iter().any(|(port, _)| *port == wrapped)
    {
        ports.push((wrapped, "what software that keeps 16 bits uses".to_owned()));
    }
    ports
}

struct Scene<'a> {
    invalid: &'a InvalidPort,
    meant: u16,
    /// Whether the number is a logical name for the port that was meant.
    is_logical: bool,
    neighbours: &'a [Neighbour],
    /// Processes with the number in their command line.
    naming: Vec<Process>,
    listeners: &'a [Listener],
}

impl Scene<'_> {
    fn verdict(&self, url: impl Fn(u16) -> String) -> Verdict {
        let wrapped = self.invalid.wrapped.unwrap_or_default();
        let truncated = self.started_with_the_number(wrapped);
        let answering = self.answering(wrapped);
        let on_wrapped = self.neighbours.iter().find(|n| n.port == wrapped && n.listening);
        let verdict = if let Some(process) = truncated {
            let verdict = self.named("address.port_truncated", Confidence::Certain, self.meant);
            let command = url(wrapped);
            verdict
                .because(format!("{process} was started with {}", self.invalid.value))
                .because(format!("it listens on {wrapped} (the number modulo 65536)"))
                .fix(Fix::run("the server answers here now", format!("curl {command}")))
                .fix(Fix::say(format!(
                    "give it a real port: write {} instead of {}, and the same in every client",
                    self.meant, self.invalid.value
                )))
        } else if let Some(found) = on_wrapped.filter(|found| {
            // Nothing better answers, and a server of the kind that is looked for does.
            let best = answering.map_or(0, |other| rank(other.answers));
            speaks_mcp(found) && best < rank(found.answers)
        }) {
            let verdict = self.named("address.port_truncated", Confidence::Likely, self.meant);
            let sentence = format!(
                "{}; an MCP server answers there, so it is probably the one that was meant",
                verdict.sentence
            );
            Verdict { sentence, ..verdict }
                .because(found.brief())
                .fix(Fix::run("the server answers here now", format!("curl {}", url(wrapped))))
                .fix(Fix::say(format!(
                    "give it a real port: write {} instead of {}, and the same in every client",
                    self.meant, self.invalid.value
                )))
        } else if let Some(found) = answering {
            let sure =
                if found.port == self.meant { Confidence::Certain } else { Confidence::Likely };
            self.named("address.port_typo", sure, found.port)
                .because(found.brief())
                .fix(Fix::run("use the real port", format!("curl {}", url(found.port))))
        } else if on_wrapped.is_some() {
            self.named("address.port_truncated", Confidence::Likely, self.meant)
                .because(format!("something listens on {wrapped} (the number modulo 65536)"))
                .fix(Fix::run("see whether it is the server", format!("curl {}", url(wrapped))))
                .fix(Fix::say(format!("then give it a real port, for example {}", self.meant)))
        } else {
            let verdict = self.named("address.port_out_of_range", Confidence::Certain, self.meant);
            let looked = !self.neighbours.is_empty();
            let seen = looked.then(|| self.listening());
            start(verdict.because_all(seen), self.meant, &url(self.meant))
        };
        self.others(verdict, wrapped)
    }

    fn named(&self, id: &'static str, confidence: Confidence, meant: u16) -> Verdict {
        let wrapped = match self.invalid.wrapped {
            Some(0) => "software that keeps 16 bits really uses port 0, which is none".to_owned(),
            Some(port) => format!("software that keeps 16 bits really uses {port}"),
            None => "no software can use it".to_owned(),
        };
        let surely = if self.is_logical { "" } else { "probably " };
        let sentence = format!(
            "{} is no TCP port (ports end at 65535): {meant} was {surely}meant, and {wrapped}",
            self.invalid.value
        );
        Verdict { confidence, ..Verdict::certain(id, sentence) }
    }

    /// A process that names the number in its command line and listens on its low 16 bits.
    fn started_with_the_number(&self, wrapped: u16) -> Option<&Process> {
        let rows = self.listeners.iter().filter(|row| row.port == wrapped);
        let owners: Vec<u32> = rows
            .filter_map(|row| row.owner.as_ref().or(row.guess.as_ref()))
            .map(|p| p.pid)
            .collect();
        self.naming.iter().find(|process| owners.contains(&process.pid))
    }

    /// What listens on the ports that may have been meant, in one line.
    fn listening(&self) -> String {
        let others: Vec<String> =
            self.neighbours.iter().filter(|n| n.listening).map(Neighbour::brief).collect();
        if others.is_empty() {
            return "nothing listens on any port that may have been meant".to_owned();
        }
        format!("no MCP server answers on a port that may have been meant; {}", others.join("; "))
    }

    /// The candidate that answers best; the wrapped number is judged apart.
    fn answering(&self, wrapped: u16) -> Option<&Neighbour> {
        let mut best: Option<&Neighbour> = None;
        for found in self.neighbours.iter().filter(|found| found.listening) {
            // A logical name means its port; only a server of MCP elsewhere outweighs that.
            let outweighs = found.port == self.meant || speaks_mcp(found);
            if found.port == wrapped || (self.is_logical && !outweighs) {
                continue;
            }
            if best.is_none_or(|best| rank(found.answers) > rank(best.answers)) {
                best = Some(found);
            }
        }
        best
    }

    /// Adds the processes that were started with the number and listen nowhere.
    fn others(&self, verdict: Verdict, wrapped: u16) -> Verdict {
        let listening = |pid: u32| {
            let owns = |row: &&Listener| row.owner.as_ref().is_some_and(|owner| owner.pid == pid);
            self.listeners.iter().any(|row| owns(&row) && row.port == wrapped)
        };
        let idle = self.naming.iter().filter(|process| !listening(process.pid)).take(3);
        let number = &self.invalid.value;
        verdict
            .because_all(idle.map(|process| format!("{process} has {number} in its command line")))
    }
}

/// Whether this product or another server of MCP answers there.
fn speaks_mcp(found: &Neighbour) -> bool {
    matches!(found.answers, "rapport" | "mcp")
}

/// How to get a server on a port where nothing listens.
pub(super) fn start(verdict: Verdict, port: u16, url: &str) -> Verdict {
    let command = if port == HOME {
        "rapport serve".to_owned()
    } else {
        format!("rapport serve --port {port}")
    };
    verdict
        .fix(Fix::run("start the server on it (this is ours; another has its own way)", command))
        .fix(Fix::say(format!("then use {url}")))
}
