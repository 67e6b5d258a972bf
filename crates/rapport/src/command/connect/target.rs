//! Which files of an application are meant: those of what is installed here.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};

use super::apps::App;
use super::machine::Machine;
use crate::command::Frame;

/// Whether the application is installed, as far as its files tell.
pub(super) fn is_found(app: &App, machine: &Machine) -> bool {
    (app.files)(machine).iter().any(|file| is_there(app, file, machine))
}

fn is_there(app: &App, file: &Path, machine: &Machine) -> bool {
    let folder = file.parent();
    let home = machine.home();
    if file.is_file() {
        return true;
    }
    if folder == home.as_deref() {
        // A file right in the home folder: its program has a folder beside it.
        let beside = home.map(|home| home.join(".claude")).is_some_and(|path| path.is_dir());
        return beside || app.processes.iter().any(|name| machine.program(name).is_some());
    }
    let package = |folder: &Path| folder.ancestors().nth(3).is_some_and(Path::is_dir);
    folder.is_some_and(|folder| folder.is_dir() || (is_private(file) && package(folder)))
}

/// A file in the private folder of an application from Microsoft's store.
pub(super) fn is_private(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "LocalCache")
}

/// The files to write an entry into.
///
/// # Errors
/// When the application was not found, or it is not clear which of its files it reads.
pub(super) fn files(
    app: &App,
    machine: &Machine,
    project: bool,
    force: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    if project {
        return of_project(app).map(|file| vec![file]);
    }
    let all = (app.files)(machine);
    let there: Vec<&PathBuf> = all.iter().filter(|file| is_there(app, file, machine)).collect();
    if there.iter().any(|file| is_private(file)) {
        return one_of_store(&there).map(|file| vec![file]);
    }
    match (there.is_empty(), force, all.first()) {
        (false, ..) => Ok(there.into_iter().cloned().collect()),
        (true, true, Some(first)) => Ok(vec![first.clone()]),
        (true, _, Some(_)) => {
            let places: Vec<String> = all.iter().map(|path| path.display().to_string()).collect();
            let places = places.join("` or `");
            bail!("it was not found here: there is no `{places}`; --force writes it anyway")
        }
        (true, _, None) => bail!("the environment names no home folder: set HOME"),
    }
}

/// The files an entry may stand in; those that are there.
///
/// # Errors
/// When the application has no file in projects.
pub(super) fn all(app: &App, machine: &Machine, project: bool) -> anyhow::Result<Vec<PathBuf>> {
    if project {
        return of_project(app).map(|file| vec![file]);
    }
    let all = (app.files)(machine);
    let there: Vec<PathBuf> = all.iter().filter(|file| file.is_file()).cloned().collect();
    // Of an application without a file the first one is said to have no entry.
    Ok(if there.is_empty() { all.into_iter().take(1).collect() } else { there })
}

fn of_project(app: &App) -> anyhow::Result<PathBuf> {
    let folder = std::env::current_dir()?;
    let file = app.project.ok_or_else(|| anyhow!("it has no file in projects"))?;
    Ok(super::machine::join(&folder, file))
}

/// Which file Claude Desktop reads where it is (or was) installed in two ways: the private one if
/// exactly one has been written, else the usual one if that is there, else the only private one.
fn one_of_store(there: &[&PathBuf]) -> anyhow::Result<PathBuf> {
    let (private, usual): (Vec<&PathBuf>, Vec<&PathBuf>) =
        there.iter().copied().partition(|file| is_private(file));
    let written: Vec<&PathBuf> = private.iter().copied().filter(|file| file.is_file()).collect();
    let chosen = match (written.as_slice(), usual.first(), private.as_slice()) {
        ([one], ..) => Some(*one),
        (_, Some(usual), _) if usual.is_file() => Some(*usual),
        ([], _, [one]) => Some(*one),
        _ => None,
    };
    chosen.cloned().ok_or_else(|| {
        let names: Vec<String> = private.iter().map(|path| path.display().to_string()).collect();
        anyhow!("it is installed several times, and may read any of `{}`", names.join("`, `"))
    })
}

/// The address of the endpoint: of the server that runs, else of the one that would.
///
/// # Errors
/// When the configuration cannot be used.
pub(super) fn address(frame: &mut Frame) -> anyhow::Result<String> {
    let inputs = frame.inputs();
    let loaded = frame.load(&inputs).map_err(|_said| anyhow!("correct the configuration first"))?;
    let running = crate::runtime::of_folder(&loaded.config.data);
    let port = running.map_or(loaded.config.ports.port, |running| running.port);
    Ok(format!("http://127.0.0.1:{port}/mcp"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::connect::apps;
    use crate::command::connect::machine::{System, join};

    fn written(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "{}").unwrap();
    }

    #[test]
    fn of_two_installations_the_one_that_is_read_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let text = |path: &Path| path.display().to_string();
        let (local, roaming) = (dir.path().join("Local"), dir.path().join("Roaming"));
        let machine = Machine::of(
            System::Windows,
            &[("LOCALAPPDATA", &text(&local)), ("APPDATA", &text(&roaming)), ("USERPROFILE", "/u")],
        );
        let app = apps::find("claude-desktop").unwrap();
        let chosen = || files(app, &machine, false, false);
        let usual = roaming.join("Claude").join("claude_desktop_config.json");
        let error = chosen().unwrap_err().to_string();
        assert!(error.contains("not found here") && error.contains(&text(&usual)), "{error}");
        assert_eq!(files(app, &machine, false, true).unwrap(), std::slice::from_ref(&usual));

        let private = |name: &str| {
            let package = local.join("Packages").join(name);
            join(&package, "LocalCache/Roaming/Claude/claude_desktop_config.json")
        };
        std::fs::create_dir_all(local.join("Packages").join("Claude_a")).unwrap();
        assert_eq!(chosen().unwrap(), [private("Claude_a")], "the only one");
        written(&usual);
        assert_eq!(chosen().unwrap(), std::slice::from_ref(&usual), "the one that was written");
        written(&private("Claude_a"));
        assert_eq!(chosen().unwrap(), [private("Claude_a")], "the private one before the usual");
        written(&private("Claude_b"));
        assert_eq!(chosen().unwrap(), std::slice::from_ref(&usual));
        std::fs::remove_file(&usual).unwrap();
        assert!(chosen().unwrap_err().to_string().contains("several times"));
    }

    #[test]
    fn an_application_is_found_by_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display().to_string();
        let machine = Machine::of(System::Linux, &[("HOME", &home)]);
        let found = |id: &str| is_found(apps::find(id).unwrap(), &machine);
        assert!(!found("cursor") && !found("claude-code") && !found("vscode"));
        for folder in [".cursor", ".claude", ".config/VSCodium/User"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        assert!(found("cursor") && found("claude-code") && found("vscode"));
        let files = files(apps::find("vscode").unwrap(), &machine, false, false).unwrap();
        assert_eq!(files, [dir.path().join(".config/VSCodium/User/mcp.json")]);
    }
}
