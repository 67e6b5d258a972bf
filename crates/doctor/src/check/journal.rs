//! Rung 6: what the system's own logs say of the server: crashes, kills, its unit's last lines.

use std::path::Path;
use std::time::Duration;

use super::note::{FAILED, Note, fails};
use super::{About, Check, Pending, Step, not_here};
use crate::case::{Case, Learned};
use crate::journal::{DAY, MOMENTS, commands, crashes, journal, of_port, of_process};

/// See the module.
pub(crate) struct Journal;

impl Check for Journal {
    fn about(&self) -> About {
        About {
            id: "journal",
            title: "logs of the system",
            proves: "the system wrote down no crash of the server, as far as its logs may be read",
            rung: 6,
            budget: Duration::from_millis(2500),
            verdicts: &[],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        let works = || "the server answers as it should".to_owned();
        not_here(case).or_else(|| (!fails(case)).then(works))
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

/// The name of our own program, for a server of this product that is not there.
const OWN: &str = "rapport";

async fn look(case: &Case) -> Step {
    let Some(port) = case.facts.port else { return Step::cannot_tell("there is no port") };
    let owner = case.owner().map(|owner| (owner.pid, program(&owner.command)));
    let is_own = port == case.default_port;
    let read = tokio::task::spawn_blocking(move || {
        let root = Path::new("/");
        let unit = match &owner {
            Some((pid, _)) => of_process(root, *pid),
            None => None,
        };
        let within = if owner.is_some() { MOMENTS } else { DAY };
        let listed = if unit.is_none() && owner.is_none() { of_port(root, port) } else { None };
        let name = owner.map(|(_, name)| name).or(listed.as_ref().map(|one| one.program.clone()));
        let name = name.or_else(|| is_own.then(|| OWN.to_owned()));
        let kernel = crate::sockets::kernel_log();
        let of = |name: &String| crashes(root, &kernel, (name, within));
        let found = name.iter().flat_map(of).collect::<Vec<_>>();
        (unit.or(listed.map(|one| one.name)), name, found)
    });
    let (unit, name, mut lines) = read.await.unwrap_or_default();
    let did_crash = !lines.is_empty();
    if let Some(unit) = &unit {
        lines.extend(journal(Path::new("/"), unit).await);
    }
    let os = std::env::consts::OS;
    let Some(name) = name.filter(|_| !lines.is_empty() || os != "linux") else {
        return Step::pass("the system's logs that may be read tell of no crash of it");
    };
    let mut note = Note::on(FAILED);
    note.evidence.clone_from(&lines);
    note.fix = commands(os, &name, unit.as_deref());
    let step = if did_crash {
        Step::warn(format!("the system wrote down a crash of `{name}`"))
    } else {
        Step::pass("the system's logs that may be read tell of no crash of it")
    };
    step.seen(lines).learned(Learned::Note(Box::new(note)))
}

/// The program of a command line, without its folder; a script is told by its interpreter.
fn program(command: &str) -> String {
    let first = command.split(' ').next().unwrap_or(command);
    first.rsplit(['/', '\\']).next().unwrap_or(first).trim_end_matches(':').to_owned()
}
