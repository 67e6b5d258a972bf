//! The life of a server: bind, open, announce, serve, reload, stop.

mod added;
mod announce;
mod exposure;
mod jump;
mod keeper;
mod memory;
mod providers;
mod reload;
mod shelf;
mod signals;
mod steps;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;

use crate::config::{Inputs, Loaded, Store};
use crate::listen::{Door, Site, address, bind, places, tls};
use crate::log::Logs;
use crate::parts::Parts;
use crate::print::Printer;
use crate::tasks::Tasks;
use crate::{clock, console, data, runtime, vault};

/// Limit: how long requests under way may take to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How often expired contexts are cleared away.
const SWEEP: Duration = Duration::from_secs(60);
/// How often old lines of the audit are looked for.
const DAY: Duration = Duration::from_secs(86_400);

/// Serves until a signal ends it.
///
/// # Errors
/// Why the server could not start, in words for the user.
pub(crate) async fn run(
    loaded: Loaded,
    inputs: Inputs,
    logs: &Logs,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let signals = signals::Signals::new()?;
    let seen = reload::stamps(&loaded.watched);
    let config = &loaded.config;
    data::private_folder(&config.data)?;
    summary(&loaded);
    let wanted = address::addresses(&config.hosts).await.map_err(|text| anyhow!(text))?;
    exposure::warn_about_port(config, printer);
    let bound =
        bind::bind(&wanted, &config.ports).map_err(|refusal| anyhow!(refusal.into_text()))?;
    let (room, note) = places(config.gateway.limits.connections);
    for note in bound.notes.iter().chain(&note) {
        said(printer, note);
    }
    let door = Door::new(bound.port, config.tls.mode, &config.gateway.limits, room);
    let door = Arc::new(door);
    let addresses = announce::addresses(&bound.listeners)?;
    door.listen(bound.listeners);
    let certificates = tls::load(&config.tls, &config.data)?;
    let parts = Parts::open(config, logs.dir()).await?;
    exposure::check(config, &addresses, &parts, printer)?;
    parts.gateway.set_listen(announce::listen(&addresses, config.tls.mode));
    let generated = certificates.as_ref().and_then(|loaded| loaded.generated.clone());
    door.set_tls(certificates.map(|loaded| loaded.config));
    let (wishes, wished) = keeper::wishes();
    let on_disk = matches!(config.store, Store::Sqlite).then_some(&*config.data);
    let given = config.contexts.vault_key.as_ref().and_then(|key| vault::parse(key.expose()));
    let vault = vault::open(given, on_disk);
    parts.gateway.join(shelf::home(on_disk, vault, Arc::new(wishes.clone())));
    parts.gateway.set_keeper(wishes);
    parts.gateway.set_debugger(steps::Steps::default());
    let routes = parts.gateway.router(console::pages());
    door.open(Site { gateway: parts.gateway.clone(), routes });

    let about = announce::runtime(config, &addresses, bound.port);
    let announced = runtime::announce(&about, &inputs.env)?;
    announce::say(printer, &about, generated.as_deref(), logs.dir());

    let background = Tasks::default();
    sweep(&background, &door, &parts);
    tell(&background, &door, &parts);
    follow(&background, &door, &parts);
    memory::give_back(&background, &door, &parts);
    if let Some(age) = config.contexts.audit_for {
        forget(&background, &door, &parts, age);
    }
    let running = reload::Running {
        started: loaded.clone(),
        loaded,
        seen,
        inputs,
        door: &door,
        parts: &parts,
        logs,
        wished,
    };
    let reason = running.until_stopped(signals).await;
    tracing::info!(reason, "shutting down");
    door.shut(DRAIN).await;
    background.ended().await;
    let closed = parts.close().await;
    drop(announced);
    closed
}

/// Logs what the configuration comes to, without secrets.
fn summary(loaded: &Loaded) {
    let config = &loaded.config;
    let providers: Vec<&str> =
        config.gateway.providers.iter().map(|provider| provider.name.as_str()).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        data = %config.data.display(),
        store = config.store.as_str(),
        auth = config.gateway.auth.as_str(),
        tls = config.tls.mode.as_str(),
        providers = providers.join(","),
        file = loaded.file.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        profile = loaded.profile.clone().unwrap_or_default(),
        "starting"
    );
}

/// Says a warning on the terminal and in the log files.
fn said(printer: &mut Printer, text: &str) {
    printer.warn(text);
    tracing::warn!(target: crate::log::SAID, "{text}");
}

/// Clears expired contexts away, in the background.
fn sweep(tasks: &Tasks, door: &Arc<Door>, parts: &Parts) {
    let (door, contexts) = (Arc::clone(door), parts.contexts.clone());
    let mut jump = jump::Jump::new(clock::now(), tokio::time::Instant::now());
    tasks.spawn("sweep", async move {
        loop {
            tokio::select! {
                () = door.stopping() => return,
                () = tokio::time::sleep(SWEEP) => {}
            }
            if let Some(ahead) = jump.ahead(clock::now(), tokio::time::Instant::now()) {
                tracing::warn!(
                    seconds = ahead.as_secs(),
                    "the clock jumped ahead: nothing that expired by it is removed for a day"
                );
                continue;
            }
            match contexts.sweep(clock::now()).await {
                Ok(0) => {}
                Ok(expired) => tracing::info!(expired, "contexts expired"),
                Err(fault) => tracing::warn!("expired contexts stay for now: {}", fault.chain()),
            }
        }
    });
}

/// Tells webhooks what they are to be told, in the background.
fn tell(tasks: &Tasks, door: &Arc<Door>, parts: &Parts) {
    let (door, gateway) = (Arc::clone(door), parts.gateway.clone());
    tasks.spawn("webhooks", async move {
        tokio::select! {
            () = door.stopping() => {}
            () = gateway.tell_webhooks() => {}
        }
    });
}

/// Asks the origins of mounted contexts for what is new, in the background.
fn follow(tasks: &Tasks, door: &Arc<Door>, parts: &Parts) {
    let (door, gateway) = (Arc::clone(door), parts.gateway.clone());
    tasks.spawn("mounts", async move {
        tokio::select! {
            () = door.stopping() => {}
            () = gateway.follow_mounts() => {}
        }
    });
}

/// Removes old lines of the audit, once at the start and then every day.
fn forget(tasks: &Tasks, door: &Arc<Door>, parts: &Parts, age: Duration) {
    let (door, contexts) = (Arc::clone(door), parts.contexts.clone());
    tasks.spawn("audit", async move {
        loop {
            match contexts.forget_changes(age).await {
                Ok(0) => {}
                Ok(lines) => tracing::info!(lines, "old lines of the audit were removed"),
                Err(fault) => tracing::warn!("the audit keeps its lines: {}", fault.chain()),
            }
            tokio::select! {
                () = door.stopping() => return,
                () = tokio::time::sleep(DAY) => {}
            }
        }
    });
}

/// Waits until somebody asks the program to stop.
///
/// # Errors
/// When signals cannot be caught.
pub(crate) async fn stop_asked() -> anyhow::Result<()> {
    let mut signals = signals::Signals::new()?;
    let terminal = std::io::stdin().is_terminal()
        || std::io::stdout().is_terminal()
        || std::io::stderr().is_terminal();
    // A command ends with its terminal; one that was started by `nohup` has none.
    while matches!(signals.next().await, signals::Asked::Reload) && !terminal {}
    Ok(())
}
