//! Rung 1: a socket listens on the port, and this is the process that holds it.

use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::{Case, Learned};
use crate::sockets::{Listener, Table, Unavailable, table};

/// See the module.
pub(crate) struct Listen;

impl Check for Listen {
    fn about(&self) -> About {
        About {
            id: "listen",
            title: "listening sockets and their processes",
            proves: "a process of this machine listens on the port",
            rung: 1,
            budget: Duration::from_secs(2),
            verdicts: &[],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        case.target.is_err().then(|| "the address cannot be read".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

async fn look(case: &Case) -> Step {
    let table = match read_table().await {
        Ok(table) => table,
        Err(unavailable) => {
            let step = Step::cannot_tell(unavailable.to_string());
            return step.learned(Learned::Table(Err(unavailable)));
        }
    };
    let step = match (&case.facts.invalid_port, case.facts.port) {
        (Some(invalid), _) => {
            Step::cannot_tell(format!("{} is no port, so nothing can listen on it", invalid.value))
        }
        (None, Some(port)) => judge(port, &table, case.host()),
        (None, None) => Step::cannot_tell("there is no port to look for"),
    };
    step.learned(Learned::Table(Ok(table)))
}

/// The tables, read away from the runtime's threads.
pub(crate) async fn read_table() -> Result<Table, Unavailable> {
    tokio::task::spawn_blocking(table).await.unwrap_or_else(|error| {
        Err(Unavailable::Unreadable {
            path: "the socket table".to_owned(),
            reason: error.to_string(),
        })
    })
}

fn judge(port: u16, table: &Table, host: &str) -> Step {
    let found: Vec<&Listener> = table.listeners.iter().filter(|row| row.port == port).collect();
    let lines = found.iter().map(|row| format!("{} by {}", row.place(), row.holder_text()));
    let lines: Vec<String> = lines.collect();
    if !found.is_empty() {
        let places: Vec<String> = found.iter().map(|row| row.place()).collect();
        return Step::pass(format!("something listens on {}", places.join(" and "))).seen(lines);
    }
    if !super::is_loopback_host(host) {
        return Step::cannot_tell(format!(
            "nothing listens on port {port} of this machine, and other machines cannot be asked"
        ));
    }
    Step::fail(format!("no socket listens on port {port} of this machine"))
}
