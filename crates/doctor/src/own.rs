//! Judges this product's own surroundings: its configuration, its data folder, a joined program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::check::About;
use crate::report::{Fix, HEALTHY, Report, Verdict};

/// Limit: problems of a configuration that are shown.
const PROBLEMS_MAX: usize = 8;

/// What this module proves, for the list of checks.
#[must_use]
pub fn about() -> About {
    About {
        id: "own",
        title: "this product's own surroundings",
        proves: "the configuration can be used, the data folder can be written, programs exist",
        rung: 0,
        budget: Duration::from_secs(1),
        verdicts: &[
            "config.refused",
            "config.command_not_found",
            "listen.taken",
            "store.disk_full",
            "store.no_inode",
            "store.read_only",
        ],
    }
}

/// Judges a configuration by the problems that its reader has with it.
#[must_use]
pub fn configuration(place: &str, problems: &[String]) -> Report {
    let count = problems.len();
    let understood = "this product's configuration";
    if count == 0 {
        let sentence = format!("the configuration can be used ({place})");
        return Report::of(place, understood, Verdict::certain(HEALTHY, sentence));
    }
    let has = if count == 1 { "a problem" } else { "problems" };
    let sentence = format!("the configuration has {has} and is refused: {place}");
    let verdict = Verdict::certain("config.refused", sentence)
        .because_all(problems.iter().take(PROBLEMS_MAX).cloned())
        .fix(Fix::run("see them all, with what would be right", "rapport config check"))
        .fix(Fix::run("see what can be mended safely", "rapport doctor --config FILE --fix"));
    Report::of(place, understood, verdict)
}

/// Whether a server of this product answers on a port of this machine.
pub async fn answers_at(port: u16) -> bool {
    crate::check::answers_as_ours(port).await
}

/// Judges the port that this product's server is configured for, when another program has it;
/// `None` when nobody has.
#[must_use]
pub fn port(port: u16) -> Option<Report> {
    let rows = crate::sockets::listeners().ok()?;
    let row = rows.iter().find(|row| row.port == port)?;
    let sentence =
        format!("port {port}, which this product's server is to use, is taken by another program");
    let verdict = Verdict::certain("listen.taken", sentence)
        .because(format!("{} is held by {}", row.place(), row.holder_text()))
        .fix(Fix::run(
            "move the server and all its clients to a free port (shows the changes first)",
            "rapport doctor --fix",
        ))
        .fix(Fix::run(
            "or see who it is, and end it when you agree",
            format!("rapport ports end {port}"),
        ));
    Some(Report::of(&format!("localhost:{port}"), "this product's own port", verdict))
}

/// Judges the folder in which contexts are kept.
#[must_use]
pub fn folder(path: &Path) -> Report {
    let shown = path.display();
    let (text, understood) = (shown.to_string(), "the folder of contexts and logs");
    let Some(disk) = crate::sockets::disk(path) else {
        if let Some(verdict) = forbidden(path) {
            return Report::of(&text, understood, verdict);
        }
        let sentence = format!("the data folder {shown} is made when the server starts");
        return Report::of(&text, understood, Verdict::certain(HEALTHY, sentence));
    };
    let free = disk.free_bytes / (1024 * 1024);
    let verdict = if disk.is_read_only {
        Verdict::certain(
            "store.read_only",
            format!("the data folder {shown} is on a read-only disk"),
        )
        .fix(Fix::run_as_root(
            "make it writable",
            format!("sudo mount -o remount,rw \"$(findmnt -n -o TARGET -T {shown})\""),
        ))
        .fix(Fix::say("or use another folder: --data DIR, or data.dir in the configuration"))
    } else if disk.is_full {
        Verdict::certain("store.disk_full", format!("the disk of the data folder {shown} is full"))
            .because(format!("{free} MiB are free"))
            .fix(Fix::run("see what takes the space", format!("du -xh {shown} | sort -h | tail")))
            .fix(Fix::say("delete what is not needed, then start the server again"))
    } else if disk.has_no_inode {
        Verdict::certain(
            "store.no_inode",
            format!("the disk of the data folder {shown} takes no new file, though it has space"),
        )
        .fix(Fix::run(
            "see where the files are",
            format!("du --inodes -x {shown} | sort -n | tail"),
        ))
    } else if let Some(verdict) = forbidden(path) {
        verdict
    } else {
        let sentence = format!("the data folder {shown} can be written; {free} MiB are free");
        Verdict::certain(HEALTHY, sentence)
    };
    Report::of(&text, understood, verdict)
}

/// The folder, what is kept in it, or where it would be made may not be written by this user.
#[cfg(unix)]
fn forbidden(path: &Path) -> Option<Verdict> {
    let may = |place: &Path| {
        use rustix::fs::Access;
        rustix::fs::access(place, Access::WRITE_OK | Access::EXEC_OK)
    };
    let own = [path.to_owned(), path.join("logs")];
    let kept = own.iter().filter(|place| place.is_dir()).find(|place| may(place).is_err());
    // A folder that is missing is made in the nearest one that is there.
    let missing = || path.ancestors().skip(1).find(|place| place.is_dir());
    let place = match kept {
        Some(place) => place.as_path(),
        None if !path.exists() => missing().filter(|place| may(place).is_err())?,
        None => return None,
    };
    let shown = place.display();
    let does = if place.starts_with(path) { "written" } else { "given a data folder" };
    let user = rustix::process::geteuid().as_raw();
    let sentence = format!("{shown} may not be {does} by this user");
    Some(
        Verdict::certain("store.read_only", sentence)
            .because(format!("the system denies user id {user} to write in {shown}"))
            .fix(Fix::run("see whose it is", format!("ls -ld {shown}")))
            .fix(Fix::run_as_root(
                "give it to the user of the server",
                format!("sudo chown -R \"$(id -un)\" {}", path.display()),
            ))
            .fix(Fix::say("or use another folder: --data DIR, or data.dir in the configuration")),
    )
}

/// Rights of other systems are not asked.
#[cfg(not(unix))]
fn forbidden(_path: &Path) -> Option<Verdict> {
    None
}

/// What a program lacks that is not found, and what to do: a path is looked for nowhere else.
pub(crate) fn absent(command: &str) -> (&'static str, Fix) {
    if command.contains('/') {
        return ("is not there", Fix::say("install it, or correct its path"));
    }
    let search = Fix::run("install it, or write its full path", format!("which {command}"));
    ("is not on the PATH", search)
}

/// Judges a program that is to be started, without starting it.
#[must_use]
pub fn program(name: &str, command: &str, search: &[PathBuf]) -> Report {
    let found = if command.contains('/') {
        Path::new(command).is_file()
    } else {
        search.iter().any(|folder| folder.join(command).is_file())
    };
    let understood = "a program that is started for its tools";
    let verdict = if found {
        let sentence = format!("the program `{command}` of {name} is there (it was not started)");
        Verdict::certain(HEALTHY, sentence)
    } else {
        let (lack, fix) = absent(command);
        let sentence = format!("the program `{command}` of {name} {lack}");
        Verdict::certain("config.command_not_found", sentence).fix(fix)
    };
    Report::of(name, understood, verdict)
}
