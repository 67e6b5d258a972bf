//! Rung 4: the process behind the port has what it needs: its program, descriptors, its disk.

use std::time::Duration;

use super::http::ours;
use super::{About, Check, Pending, Step, limits};
use crate::case::Case;
use crate::report::{Fix, Verdict};
use crate::sockets::{Disk, Process, Vitals, runnable, vitals};

/// See the module.
pub(crate) struct OfProcess;

/// How long processor time is watched.
const SAMPLE: Duration = Duration::from_millis(400);

/// A thread that ran, or waited to run, for more of the time than this does nothing else.
const BUSY_PERCENT: u64 = 85;

impl Check for OfProcess {
    fn about(&self) -> About {
        About {
            id: "process",
            title: "process behind the port",
            proves: "the process has descriptors left, room on its disk, and its program file",
            rung: 4,
            budget: Duration::from_secs(1),
            verdicts: &["resource.disk_full", "resource.inodes", "resource.read_only"],
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
    let pid = owner.pid;
    let seen = tokio::task::spawn_blocking(move || vitals(pid)).await.unwrap_or_default();
    // What a server of this product says of itself is nearer to the cause.
    let fails = case
        .facts
        .answer()
        .is_some_and(|answer| answer.status >= 500 && ours::reason(answer).is_none());
    if let Some(disk) = &seen.disk
        && let Some(verdict) = disk_fault(disk, fails)
    {
        let verdict = verdict.because(owner.to_string());
        // A server that answers well may not need its disk now.
        return if fails { Step::name(verdict) } else { Step::warn(verdict.sentence) };
    }
    if let Some((open, limit)) = seen.descriptors
        && open * 10 >= limit * 9
    {
        return Step::warn(format!(
            "{open} of {limit} descriptors are open: soon it takes no more"
        ));
    }
    if let Some(program) = &seen.deleted_program {
        return Step::warn(format!(
            "PID {pid} runs a program that was replaced on disk ({program}): restart it"
        ));
    }
    let since = owner.started.as_ref().map_or_else(String::new, |when| format!(", since {when}"));
    Step::pass(format!("PID {pid} of {}{since}", owner.user))
}

fn disk_fault(disk: &Disk, fails: bool) -> Option<Verdict> {
    let folder = &disk.folder;
    if disk.is_read_only && fails {
        let sentence = format!("the disk of {folder}, where the server works, is read-only");
        return Some(Verdict::likely("resource.read_only", sentence).fix(Fix::run_as_root(
            "let it be written again, or move the data",
            format!("sudo mount -o remount,rw {folder}"),
        )));
    }
    if disk.is_full {
        let sentence = format!("the disk of {folder}, where the server works, is full");
        return Some(
            Verdict::likely("resource.disk_full", sentence)
                .because("no block is left for it (statvfs)")
                .fix(Fix::run("free space there, then restart it", format!("du -xsh {folder}"))),
        );
    }
    if disk.has_no_inode {
        let sentence = format!("the disk of {folder}, where the server works, takes no new file");
        return Some(
            Verdict::likely("resource.inodes", sentence)
                .because("no inode is left (statvfs), though blocks are")
                .fix(Fix::run("remove small files there", format!("df -i {folder}"))),
        );
    }
    None
}

/// The process is stopped or frozen, so that asking it is no use.
pub(super) async fn asleep(owner: &Process, port: u16) -> Option<Verdict> {
    let pid = owner.pid;
    if owner.state == Some('T') {
        let sentence = format!("the server on port {port} is stopped, so it answers nobody");
        return Some(
            Verdict::certain("process.stopped", sentence)
                .because(format!("{owner} is in state T (stopped)"))
                .fix(Fix::run("let it go on", format!("kill -CONT {pid}"))),
        );
    }
    if let Some(verdict) = limits::traced(owner, port) {
        return Some(verdict);
    }
    let seen = tokio::task::spawn_blocking(move || vitals(pid)).await.unwrap_or_default();
    frozen(owner, port, &seen)
}

/// Why a process that takes connections does not answer, from its own state.
pub(super) async fn mute(owner: &Process, port: u16, idle_peers: &[u16]) -> Option<Verdict> {
    let pid = owner.pid;
    let (before, since) = (runnable(pid), tokio::time::Instant::now());
    tokio::time::sleep(SAMPLE).await;
    let (after, span) = (runnable(pid), since.elapsed());
    let seen = tokio::task::spawn_blocking(move || vitals(pid)).await.unwrap_or_default();
    if let Some(verdict) = descriptors(owner, &seen) {
        return Some(verdict);
    }
    if let Some(verdict) = limits::mute(owner).await {
        return Some(verdict);
    }
    busy(owner, port, share(&before, &after, span))
        .or_else(|| one_at_a_time(owner, port, idle_peers))
}

fn frozen(owner: &Process, port: u16, seen: &Vitals) -> Option<Verdict> {
    let group = seen.frozen.as_ref()?;
    let sentence = format!("the server on port {port} is frozen with its control group");
    let thaw = if group.contains("/freezer") {
        format!("echo THAWED | sudo tee {group}/freezer.state")
    } else {
        format!("echo 0 | sudo tee {group}/cgroup.freeze")
    };
    Some(
        Verdict::certain("process.frozen", sentence)
            .because(format!("{owner} is in {group}, which is frozen"))
            .fix(Fix::run_as_root("let it go on (docker unpause does it for a container)", thaw)),
    )
}

fn descriptors(owner: &Process, seen: &Vitals) -> Option<Verdict> {
    let (open, limit) = seen.descriptors?;
    // A program that is refused one more may keep one or two back.
    (open + 2 >= limit).then(|| {
        let sentence = format!("the server has used all its {limit} descriptors");
        Verdict::certain("resource.fd_limit", sentence)
            .because(format!("{owner} has {open} descriptors open, and {limit} are allowed"))
            .fix(Fix::run(
                "give it more, restart it, and look for connections it never closes",
                "ulimit -n 65536",
            ))
    })
}

/// How much of the time the busiest thread ran or waited to run, in percent; a loaded machine
/// makes no difference.
fn share(before: &[(u32, u64)], after: &[(u32, u64)], span: Duration) -> u64 {
    let spans = after.iter().filter_map(|(id, then)| {
        let (_, first) = before.iter().find(|(known, _)| known == id)?;
        then.checked_sub(*first)
    });
    let most = u128::from(spans.max().unwrap_or_default());
    u64::try_from(most * 100 / span.as_nanos().max(1)).unwrap_or_default()
}

fn busy(owner: &Process, port: u16, percent: u64) -> Option<Verdict> {
    (percent >= BUSY_PERCENT).then(|| {
        let sentence =
            format!("the server on port {port} uses a whole processor and answers nobody");
        let pid = owner.pid;
        Verdict::likely("process.busy_loop", sentence)
            .because(format!("{owner} wanted {percent} % of a processor while it was watched"))
            .fix(Fix::run("see where it loops (a stack dump), then end it", format!("kill {pid}")))
    })
}

fn one_at_a_time(owner: &Process, port: u16, idle_peers: &[u16]) -> Option<Verdict> {
    let peer = idle_peers.first()?;
    let sentence =
        format!("the server on port {port} serves one connection at a time, and one is open");
    Some(
        Verdict::likely("process.single_threaded", sentence)
            .because(format!("{owner} keeps a connection from port {peer} open and says nothing"))
            .fix(Fix::say("close that client, or run the server with more workers or threads")),
    )
}
