//! What the live view does to the traffic and to files.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::Screen;
use super::app::{Act, App};
use crate::capture::Exchange;
use crate::export;
use crate::replay::Again;
use crate::{Proxy, Verdict, tasks};

/// The rule that holds everything.
const HOLD: &str = "pause";

/// Does what a key asked for.
pub(super) fn act(proxy: &Proxy, screen: &Screen, app: &mut App, act: Act) {
    let number = app.selected;
    match act {
        Act::Replay(number, to) => again(proxy, app, (number, to)),
        Act::Go(number) => decide(proxy, app, number, Verdict::Go),
        Act::Drop(number) => decide(proxy, app, number, Verdict::Drop),
        Act::Hold => hold(proxy, app),
        Act::Clear => {
            proxy.book().clear();
            app.rows.retain(|row| row.is_open);
            "all that was over is forgotten".clone_into(&mut app.said);
        }
        Act::Export(name) => {
            app.said = match write(proxy, screen, app, Path::new(&name)) {
                Ok(count) => format!("{count} exchanges written to {name}"),
                Err(cause) => format!("cannot write `{name}`: {cause}"),
            };
        }
        Act::Edit(_) | Act::Quit => app.choose(number),
    }
}

fn decide(proxy: &Proxy, app: &mut App, number: u64, verdict: Verdict) {
    let word = if verdict == Verdict::Drop { "closed" } else { "let go" };
    app.said = if proxy.decide(number, verdict) {
        format!("#{number} was {word}")
    } else {
        format!("#{number} is not held; p holds requests")
    };
}

fn hold(proxy: &Proxy, app: &mut App) {
    let mut rules = proxy.rules();
    let before = rules.len();
    rules.retain(|rule| rule != HOLD);
    app.holds = rules.len() == before;
    if app.holds {
        rules.push(HOLD.to_owned());
    } else {
        for number in proxy.held() {
            // One that was let go at this moment needs no second time.
            let _gone = proxy.decide(number, Verdict::Go);
        }
    }
    app.said = match proxy.set_rules(&rules) {
        Ok(()) if app.holds => {
            "every request is held now, a minute at most: c lets one go, e edits it".to_owned()
        }
        Ok(()) => "requests pass again".to_owned(),
        Err(why) => why.to_string(),
    };
}

fn again(proxy: &Proxy, app: &mut App, (number, to): (u64, Option<String>)) {
    let Some(exchange) = proxy.book().get(number) else { return };
    let target = match to {
        Some(text) => proxy.read_target(&text),
        None => Ok(proxy.target().clone()),
    };
    let made = target.and_then(|target| Ok((Again::new(&exchange, &target, &[])?, target)));
    let (again, target) = match made {
        Ok(made) => made,
        Err(why) => {
            app.said = why;
            return;
        }
    };
    app.said = format!("#{number} is sent again to {target}");
    app.follows = true;
    let book = proxy.book().clone();
    // How it went is seen in the list.
    drop(tasks::spawn(async move {
        let _in_the_book = again.send(&target, &book).await;
    }));
}

/// Writes what is shown; how many exchanges that were.
fn write(proxy: &Proxy, screen: &Screen, app: &App, path: &Path) -> std::io::Result<usize> {
    let mut all: Vec<Exchange> = Vec::new();
    for row in app.shown().filter(|row| !row.is_open) {
        all.extend(proxy.book().get(row.number));
    }
    let ends = |word: &str| path.extension().is_some_and(|end| end.eq_ignore_ascii_case(word));
    let mut file = private(path)?;
    if ends("pcap") || ends("pcapng") {
        let (bytes, count) = export::pcap(&all, screen.secrets);
        file.write_all(&bytes)?;
        file.sync_all()?;
        return Ok(count);
    }
    if ends("har") {
        let archive = export::har(&all, screen.secrets);
        file.write_all(serde_json::to_string_pretty(&archive)?.as_bytes())?;
    } else {
        for exchange in &all {
            writeln!(file, "{}", export::line(exchange, screen.secrets))?;
        }
    }
    file.sync_all()?;
    Ok(all.len())
}

/// A new file that only its owner reads: prompts are nobody else's business.
fn private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Has the body of a held request edited, and lets it go with what was written.
pub(super) async fn edit(proxy: &Proxy, screen: &Screen, app: &mut App, number: u64) {
    let Some(exchange) = proxy.book().get(number).filter(|_| proxy.held().contains(&number)) else {
        app.said = format!("#{number} is not held; p holds requests");
        return;
    };
    let before = exchange.ask_body();
    app.said = match written(screen, number, &before).await {
        Ok(after) if after == before => {
            decide(proxy, app, number, Verdict::Go);
            return;
        }
        Ok(after) if proxy.decide(number, Verdict::GoWith(after.clone())) => {
            format!("#{number} was let go with another body")
        }
        Ok(_) => format!("#{number} waited too long and went on as it was"),
        Err(why) => why,
    };
}

async fn written(screen: &Screen, number: u64, before: &[u8]) -> Result<Vec<u8>, String> {
    let name = format!("rapport-edit-{}-{number}.json", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(name);
    let said = |cause: std::io::Error| format!("`{}`: {cause}", path.display());
    private(&path).and_then(|mut file| file.write_all(before)).map_err(said)?;
    let (program, arguments) =
        screen.editor.split_first().ok_or("no editor is known: set EDITOR")?;
    let status = Command::new(program).args(arguments).arg(&path).status().await;
    let after = std::fs::read(&path).map_err(said);
    let removed = std::fs::remove_file(&path).map_err(said);
    match status {
        Ok(status) if status.success() => removed.and(after),
        Ok(_) => Err(format!("`{program}` was ended; #{number} still waits")),
        Err(cause) => Err(format!("`{program}` cannot be started: {cause}; set EDITOR")),
    }
}
