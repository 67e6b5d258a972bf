//! Rung 4: the limits that are set for the server's process leave it room.

use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::report::{Fix, Verdict};
use crate::sockets::{Group, Process, group, tracer};

/// See the module.
pub(crate) struct Limits;

/// An answer that begins later than this may have been held back.
const SLOW: Duration = Duration::from_millis(1000);

impl Check for Limits {
    fn about(&self) -> About {
        About {
            id: "limits",
            title: "limits of the process",
            proves: "the control group of the process leaves it processor, memory and processes",
            rung: 4,
            budget: Duration::from_secs(1),
            verdicts: &["resource.cpu_throttled", "resource.pids"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if case.facts.connected.is_none() {
            return Some("no connection".to_owned());
        }
        case.owner().is_none().then(|| "its process cannot be seen from here".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

async fn look(case: &Case) -> Step {
    let Some(owner) = case.owner() else { return Step::cannot_tell("no process") };
    let found = read(owner.pid).await;
    let answer = case.facts.answer();
    let fails = answer.is_none_or(|answer| answer.status >= 500);
    let is_slow = answer.is_none_or(|answer| answer.elapsed >= SLOW);
    if let Some(verdict) = tasks(owner, &found).filter(|_| fails) {
        return Step::name(verdict);
    }
    if let Some(verdict) = processor(owner, &found).filter(|_| is_slow) {
        return Step::name(verdict);
    }
    if let Some((used, most)) = found.memory
        && used.saturating_mul(100) >= most.saturating_mul(95)
    {
        let (used, most) = (used >> 20, most >> 20);
        return Step::warn(format!("its group uses {used} of {most} MiB: it will be killed soon"));
    }
    if let Some(kills) = found.kills.filter(|kills| *kills > 0) {
        return Step::warn(format!(
            "the kernel killed {kills} processes of its group for lack of memory"
        ));
    }
    if let Some(verdict) = tasks(owner, &found) {
        return Step::warn(verdict.sentence);
    }
    Step::pass("its control group holds nothing back")
}

async fn read(pid: u32) -> Group {
    tokio::task::spawn_blocking(move || group(pid)).await.unwrap_or_default()
}

/// Why a server does not answer, or hangs up, by the limits of its process.
pub(super) async fn mute(owner: &Process) -> Option<Verdict> {
    let found = read(owner.pid).await;
    tasks(owner, &found).or_else(|| processor(owner, &found))
}

fn tasks(owner: &Process, found: &Group) -> Option<Verdict> {
    let (now, most) = found.tasks?;
    if now < most {
        return None;
    }
    let place = &found.tasks_place;
    let sentence =
        format!("the server may start no further process: its limit of {most} is reached");
    Some(
        Verdict::likely("resource.pids", sentence)
            .because(format!("{owner} is in {place}: pids.current {now}, pids.max {most}"))
            .fix(Fix::run_as_root(
                "raise the limit (docker run --pids-limit; systemd: TasksMax=)",
                format!("echo max | sudo tee {place}/pids.max"),
            )),
    )
}

/// Held back in at least a third of its periods.
fn processor(owner: &Process, found: &Group) -> Option<Verdict> {
    let (held, periods) = found.throttled?;
    if periods < 3 || held.saturating_mul(3) < periods {
        return None;
    }
    let percent = found.quota_percent.unwrap_or_default();
    let sentence = format!("the server is held back: it may use {percent} % of one processor");
    let place = &found.processor_place;
    let more = if place.contains("/cpu") {
        format!("echo -1 | sudo tee {place}/cpu.cfs_quota_us")
    } else {
        format!("echo max | sudo tee {place}/cpu.max")
    };
    Some(
        Verdict::likely("resource.cpu_throttled", sentence)
            .because(format!("{owner} is in {place}: throttled in {held} of {periods} periods"))
            .fix(Fix::run_as_root("raise the limit (docker update --cpus 2 NAME)", more)),
    )
}

/// The process is held by a debugger, so that asking it is no use.
pub(super) fn traced(owner: &Process, port: u16) -> Option<Verdict> {
    if owner.state != Some('t') {
        return None;
    }
    let sentence = format!("the server on port {port} is stopped by a debugger");
    let who = tracer(owner.pid).map(|tracer| format!("its debugger is {tracer}"));
    Some(
        Verdict::certain("process.traced", sentence)
            .because(format!("{owner} is in state t (tracing stop)"))
            .because_all(who)
            .fix(Fix::say("let it go on in the debugger (`continue`), or end the debugger")),
    )
}
