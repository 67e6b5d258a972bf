//! Rung 6: how the container or pod stands that has to do with the port, and its last words.

use std::path::Path;
use std::time::Duration;

use super::note::{FAILED, Note, fails};
use super::{About, Check, Pending, Step, not_here};
use crate::case::{Case, Learned};
use crate::containers::engine::{Found, containers, sockets};
use crate::containers::kube::{Pod, commands, current, of_process, own};
use crate::report::{Fix, Verdict};

/// See the module.
pub(crate) struct Container;

/// Verdicts that only say that nothing is there.
const ABSENT: &[&str] = &["container.backend_dead", "listen.none", "listen.not_yet"];

impl Check for Container {
    fn about(&self) -> About {
        About {
            id: "container",
            title: "container of the server",
            proves: "the container or pod of the port runs, as far as its engine may be asked",
            rung: 6,
            budget: Duration::from_secs(4),
            verdicts: &["container.stopped"],
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

async fn look(case: &Case) -> Step {
    let root = Path::new("/");
    let Some(port) = case.facts.port else { return Step::cannot_tell("there is no port") };
    let owner = case.owner().map(|owner| owner.pid);
    let inside = tokio::task::spawn_blocking(move || {
        let pid = owner.or_else(|| {
            let other = crate::sockets::elsewhere(port).into_iter().next()?;
            Some(other.owner?.pid)
        })?;
        Some((pid, crate::containers::of_process(Path::new("/"), pid)?))
    });
    let inside = inside.await.ok().flatten();
    let (pid, id) = match &inside {
        Some((pid, container)) => (Some(*pid), Some(container.id.clone())),
        None => (None, None),
    };
    let is_pod = inside.as_ref().is_some_and(|(_, one)| one.engine == "kubernetes");
    let pod = pid.filter(|_| is_pod).and_then(|pid| of_process(root, pid));
    if let Some(pod) = pod {
        return of_pod(case, &pod, port, "the server runs in the pod");
    }
    if let Some(pod) = own(root, &case.environment) {
        return of_pod(case, &pod, port, "localhost here is that of the pod");
    }
    for (engine, socket) in sockets(root, &case.environment) {
        let found = containers(engine, &socket, port, id.as_deref()).await;
        // One that does not run tells more than one that does, when nothing answers.
        let down = found.iter().find(|one| !one.is_running());
        if let Some(one) = found.iter().find(|one| one.is_running()).or(down) {
            return of_engine(one, port);
        }
    }
    if let Some(step) = forwarded(case) {
        return step;
    }
    Step::pass("no container that is known here has to do with the port")
}

fn of_engine(one: &Found, port: u16) -> Step {
    let Found { engine, name, .. } = one;
    let mut note = Note::on(FAILED);
    note.evidence.push(one.line());
    note.evidence
        .extend((!one.error.is_empty()).then(|| format!("the engine says: {}", one.error)));
    note.evidence.extend(one.log.iter().map(|line| format!("its log: {line}")));
    let logs = Fix::run("read more of its log", format!("{engine} logs --tail 50 {name}"));
    let seen = note.evidence.clone();
    if one.is_running() {
        note.fix = vec![logs];
        let summary = format!("the {engine} container {name} runs");
        return Step::pass(summary).seen(seen).learned(Learned::Note(Box::new(note)));
    }
    let sentence = format!(
        "the {engine} container {name} publishes port {port} and does not run (it is {})",
        one.state
    );
    let start = match one.state.as_str() {
        "paused" => ("let it go on", format!("{engine} unpause {name}")),
        _ => ("start it, and watch whether it stays", format!("{engine} start {name}")),
    };
    let verdict =
        Verdict::certain("container.stopped", sentence).fix(Fix::run(start.0, start.1)).fix(logs);
    note.verdicts = ABSENT;
    note.instead = Some(verdict.clone());
    Step::warn(verdict.sentence).seen(seen).learned(Learned::Note(Box::new(note)))
}

fn of_pod(case: &Case, pod: &Pod, port: u16, what: &str) -> Step {
    let context = current(&case.environment);
    let mut pod = pod.clone();
    if pod.namespace.is_none() {
        pod.namespace = context.as_ref().and_then(|(_, namespace)| namespace.clone());
    }
    let mut note = Note::on(FAILED);
    let place = pod.namespace.as_ref().map_or(String::new(), |name| format!(" (namespace {name})"));
    let line = format!("{what} {}{place}", pod.name);
    note.evidence.push(line.clone());
    note.fix = commands(&pod, port, context.as_ref().map(|(name, _)| name.as_str()));
    Step::pass(line).learned(Learned::Note(Box::new(note)))
}

/// `kubectl port-forward` holds the port: what fails is behind it.
fn forwarded(case: &Case) -> Option<Step> {
    let owner = case.owner()?;
    let words: Vec<&str> = owner.command.split(' ').collect();
    let program = words.first()?.rsplit(['/', '\\']).next()?.trim_end_matches(".exe");
    if program != "kubectl" || !words.contains(&"port-forward") {
        return None;
    }
    let command = &owner.command;
    let mut note = Note::on(FAILED);
    note.evidence.push(format!("PID {} `{command}` brings the port of a pod here", owner.pid));
    let again = "start the forwarding again: it ends with its pod";
    // Whoever started it chose its words; a shell must find nothing in them.
    let is_plain = command.chars().all(|c| c.is_ascii_alphanumeric() || " -_./:=@".contains(c));
    note.fix = vec![
        Fix::say("see whether the pod runs and listens on the port behind the colon"),
        if is_plain { Fix::run(again, command.clone()) } else { Fix::say(again) },
        Fix::run("see the pods", "kubectl get pods -o wide"),
    ];
    let summary = "kubectl brings the port of a pod here";
    Some(Step::pass(summary).seen(note.evidence.clone()).learned(Learned::Note(Box::new(note))))
}
