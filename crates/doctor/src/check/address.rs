//! Rung 0: the address can be read, and its port is a port.

use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::{Case, Learned};
use crate::port::{InvalidPort, Place, Problem, for_client, parse};
use crate::report::{Fix, Verdict};
use crate::target::Target;

/// See the module.
pub(crate) struct Address;

impl Check for Address {
    fn about(&self) -> About {
        About {
            id: "address",
            title: "address and port number",
            proves: "the address can be read and its port is a TCP port from 1 to 65535",
            rung: 0,
            budget: Duration::from_millis(100),
            verdicts: &[
                "usage",
                "address.bad_scheme",
                "address.bad_port",
                "address.bad_host",
                "address.bad_character",
                "address.ipv6_brackets",
                "address.whitespace",
                "address.port_zero",
            ],
        }
    }

    fn skip(&self, _case: &Case) -> Option<String> {
        None
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(async move { look(case) })
    }
}

fn look(case: &Case) -> Step {
    let target = match &case.target {
        Ok(target) => target,
        Err(bad) => {
            let verdict = Verdict::certain(bad.id, bad.sentence.clone());
            return Step::name(verdict.fix(Fix::say(bad.fix.clone())));
        }
    };
    let Some(text) = &target.port else {
        let from_scheme = target.scheme.and_then(crate::target::Scheme::default_port);
        let port = from_scheme.unwrap_or(case.default_port);
        let why = if from_scheme.is_some() { "of the scheme" } else { "of the configuration" };
        let summary = format!("no port was written, {port} is the one {why}");
        return Step::pass(summary).learned(Learned::Port(port));
    };
    let place = || Place::Url(target.to_string());
    match parse(text, place()).and_then(|port| for_client(port, place())) {
        Ok(port) => Step::pass(format!("port {port} is valid")).learned(Learned::Port(port)),
        Err(invalid) => wrong(case, target, invalid),
    }
}

fn wrong(case: &Case, target: &Target, invalid: InvalidPort) -> Step {
    if invalid.problem == Problem::OutOfRange {
        // What listens on the ports that may have been meant decides the verdict, later.
        let named = case.logical.port(&invalid.value);
        let meant = named.filter(|_| !case.strict_ports);
        let summary = invalid.to_string();
        return Step::fail(summary).learned(Learned::InvalidPort(invalid, meant));
    }
    let fix = match invalid.candidates.first() {
        Some(port) => Fix::say(format!("write {}", target.url(*port))),
        None => Fix::say(format!("write a port in digits, for example {}", case.default_port)),
    };
    let verdict = Verdict::certain(invalid.verdict_id(), invalid.to_string()).fix(fix);
    Step::name(verdict).learned(Learned::InvalidPort(invalid, None))
}
