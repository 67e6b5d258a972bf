//! `rapport mcp add|list|remove|test|accept`: the servers that are joined.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use gateway::joined::{AddedOAuth, AddedServer, Logins as _, Report, check_name, probe};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::Frame;
use super::super::reach::{Client, Reach};
use super::super::table::{cell, short, table};
use super::differs;
use crate::config::added;
use crate::logins::{self, Sealed};
use crate::print::Exit;
use crate::remote::{Ask, Failure, PathOf};
use crate::vault;

/// How long a server that was just added is watched.
const WATCH: Duration = Duration::from_secs(15);

/// Flags of `mcp add`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Add {
    /// What it is called: a-z, 0-9 and `-`; it comes before the names of its tools
    name: String,
    /// The program and its arguments, after `--`
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// An `OpenAPI` document, a file or an address: its operations become tools
    #[arg(long, value_name = "PLACE")]
    openapi: Option<String>,
    /// Where the API of that document is
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// auto, http or sse
    #[arg(long, value_parser = ["auto", "http", "sse"])]
    transport: Option<String>,
    /// A variable for the program, NAME=VALUE; `${NAME}` is filled in by the server
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// A header of every request, NAME=VALUE; `${NAME}` is filled in by the server
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    header: Vec<(String, String)>,
    /// Log in with these credentials of our own instead of a person's: needs --client-id
    #[arg(long)]
    client_credentials: bool,
    /// The id of a client that was registered with the authorization server by hand
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Its secret; better `${NAME}`, which is filled in by the server
    #[arg(long, value_name = "SECRET")]
    client_secret: Option<String>,
    /// The authorization server that knows it
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Rights to ask for at a log-in
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    scopes: Vec<String>,
    /// Offer only these tools; `*` stands for anything
    #[arg(long, value_name = "TOOLS", value_delimiter = ',')]
    tools: Vec<String>,
    /// Put it in the place of a server of this name that was added before
    #[arg(long)]
    replace: bool,
    /// Do not offer these tools
    #[arg(long, value_name = "TOOLS", value_delimiter = ',')]
    hide: Vec<String>,
}

impl Add {
    /// What was said about a log-in, if anything was.
    fn oauth(&self) -> Option<AddedOAuth> {
        let oauth = AddedOAuth {
            grant: self.client_credentials.then(|| "client_credentials".to_owned()),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            issuer: self.issuer.clone(),
            scopes: self.scopes.clone(),
        };
        (oauth != AddedOAuth::default()).then_some(oauth)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() {
        return Err("write NAME=VALUE".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Writes a server into the data folder and says how it is doing.
pub(super) fn add(frame: &mut Frame, reach: &Reach, add: &Add) -> anyhow::Result<Exit> {
    // Here the address is that of the server that is joined.
    let (url, reach) = reach.without_url();
    let mut command = add.command.iter().cloned();
    let server = AddedServer {
        name: add.name.clone(),
        url,
        transport: add.transport.clone(),
        command: command.next(),
        args: command.collect(),
        env: add.env.iter().cloned().collect::<BTreeMap<_, _>>(),
        openapi: add.openapi.as_ref().map(|place| whole(place)),
        base_url: add.base_url.clone(),
        headers: add.header.iter().cloned().collect(),
        oauth: add.oauth(),
        tools: add.tools.clone(),
        hide: add.hide.clone(),
        ..AddedServer::default()
    };
    let ways = [&server.url, &server.command, &server.openapi];
    if ways.iter().filter(|way| way.is_some()).count() != 1 {
        frame.printer.error("say exactly one of `-- COMMAND`, `--url URL` and `--openapi PLACE`");
        return Ok(Exit::Usage);
    }
    if let Err(fault) = check_name(&add.name) {
        frame.printer.error(fault.text());
        fault.hint_text().into_iter().for_each(|hint| frame.printer.hint(hint));
        return Ok(Exit::Usage);
    }
    if let Some(exit) = taken(frame, add, &server)? {
        return Ok(exit);
    }
    let changed = change(frame, &add.name, |text| added::with_server(text, &server).map(Some))?;
    if let Err(exit) = changed {
        return Ok(exit);
    }
    if let Some(flaw) = flaw(frame, &add.name) {
        frame.printer.warn(&format!("where this command runs, {flaw}"));
    }
    reach.run(frame, async |client| watched(client, &add.name).await)
}

/// Refuses a name that another server has, unless that one is to go; how the two differ is told.
fn taken(frame: &mut Frame, add: &Add, server: &AddedServer) -> anyhow::Result<Option<Exit>> {
    let inputs = frame.inputs();
    let loaded = match frame.load(&inputs) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(Some(exit)),
    };
    let text = crate::data::text_of(&added::servers(&loaded.config.data))?;
    let Some(known) = added::server(text.as_deref(), &add.name)? else { return Ok(None) };
    let differs = differs::between(&known, &serde_json::to_value(server)?);
    if differs.is_empty() || add.replace {
        for line in differs {
            frame.printer.note(&line);
        }
        return Ok(None);
    }
    frame.printer.error(&format!("`{}` is joined already, as another server", add.name));
    for line in differs {
        frame.printer.note(&line);
    }
    frame.printer.hint("`--replace` puts this one in its place; or take another name");
    Ok(Some(Exit::Problem))
}

/// Why a server cannot be reached from here as it is written.
fn flaw(frame: &Frame, name: &str) -> Option<String> {
    let loaded = crate::config::load(&frame.inputs()).ok()?;
    let servers = loaded.config.gateway.mcp.servers;
    servers.into_iter().find(|server| server.name == name)?.flaw
}

/// A file from the root, so that the server finds it, too.
fn whole(place: &str) -> String {
    if place.starts_with("http://") || place.starts_with("https://") {
        return place.to_owned();
    }
    std::path::absolute(place).map_or_else(|_| place.to_owned(), |path| path.display().to_string())
}

/// Takes a server out that was added.
pub(super) fn remove(frame: &mut Frame, name: &str) -> anyhow::Result<Exit> {
    let done = change(frame, name, |text| added::without_server(text, name))?;
    if let Err(exit) = done {
        return Ok(exit);
    }
    if let Ok(loaded) = crate::config::load(&frame.inputs()) {
        logins::remove(&loaded.config.data, name);
    }
    if frame.printer.is_json() {
        frame.printer.json(&json!({"removed": name}))?;
    } else {
        frame.printer.line(&format!("`{name}` is not joined any more"));
    }
    Ok(Exit::Fine)
}

/// Changes the file of servers, and checks what comes of it; the running server reads it by itself.
fn change(
    frame: &mut Frame,
    name: &str,
    change: impl FnOnce(Option<&str>) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<Result<(), Exit>> {
    let inputs = frame.inputs();
    let loaded = match frame.load(&inputs) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(Err(exit)),
    };
    let file = added::servers(&loaded.config.data);
    let group = format!("mcp.servers.{name}");
    if let Some(place) = loaded.stack.elsewhere(&group, &file) {
        frame.printer.error(&format!("`{name}` is configured already: {place}"));
        frame.printer.hint("change it there");
        return Ok(Err(Exit::Usage));
    }
    let before = crate::data::text_of(&file)?;
    let Some(text) = change(before.as_deref())? else {
        frame.printer.error(&format!("no server `{name}` was added"));
        frame.printer.hint("`rapport mcp list` shows which there are");
        return Ok(Err(Exit::Problem));
    };
    crate::data::private_folder(&loaded.config.data)?;
    crate::data::write_private(&file, text.as_bytes())?;
    // A file that the server would refuse must not stay.
    if let Err(refused) = crate::config::load(&inputs) {
        match before {
            Some(before) => crate::data::write_private(&file, before.as_bytes())?,
            None => std::fs::remove_file(&file)?,
        }
        return Ok(Err(frame.refuse(&refused)));
    }
    Ok(Ok(()))
}

/// Waits until the running server has seen it and knows how it is doing.
async fn watched(client: &mut Client<'_>, name: &str) -> Result<(), Failure> {
    let until = Instant::now() + WATCH;
    let mut last = None;
    while Instant::now() < until {
        let path = PathOf::new("/api/v1/mcp/servers").then(name);
        match client.server.json(&Ask::get(path)).await {
            Ok(reply) => {
                let state = reply.text("state").to_owned();
                last = Some(reply);
                if state != "starting" {
                    break;
                }
            }
            Err(failure) if failure.may_be_retried(false) => {
                client.printer.line(&format!("`{name}` is added"));
                client.printer.note("no server runs: it is joined at the next start");
                return Ok(());
            }
            // The file is looked at every two seconds.
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let Some(reply) = last else {
        client.printer.line(&format!("`{name}` is added"));
        client.printer.note("the running server does not know it yet: see `rapport mcp list`");
        return Ok(());
    };
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let value = &reply.value;
    let state = cell(value, "/state");
    let count = value.get("tools").and_then(Value::as_array).map_or(0, Vec::len);
    let tools = if count == 1 { "tool" } else { "tools" };
    client.printer.line(&format!("`{name}` is added and {state}, with {count} {tools}"));
    let error = cell(value, "/error");
    if !error.is_empty() {
        client.printer.warn(&error);
        client.printer.hint(&format!("`rapport mcp test {name}` shows what it says"));
    }
    Ok(())
}

/// Shows the joined servers and how each is doing.
pub(super) async fn list(client: &mut Client<'_>) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get("/api/v1/mcp/servers")).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let servers = reply.value.get("servers").and_then(Value::as_array);
    let mut lines = table(&["server", "state", "tools", "revision", "where", "note"]);
    for server in servers.into_iter().flatten() {
        let changed = server.get("changed").and_then(Value::as_u64).unwrap_or(0);
        let mut note = short(&cell(server, "/error"), 80);
        if changed > 0 {
            note = format!("{changed} tools changed: look, then `rapport mcp accept`. {note}");
        }
        lines.add_row([
            cell(server, "/name"),
            cell(server, "/state"),
            cell(server, "/tools"),
            cell(server, "/revision"),
            short(&cell(server, "/place"), 60),
            note,
        ]);
    }
    client.printer.line(&lines.to_string());
    if servers.is_none_or(Vec::is_empty) {
        client.printer.hint("`rapport mcp add NAME -- COMMAND` joins one, or `--url URL`");
    }
    Ok(())
}

/// From now on the tools of a server count as known.
pub(super) async fn accept(client: &mut Client<'_>, name: &str) -> Result<(), Failure> {
    let path = PathOf::new("/api/v1/mcp/servers").then(name).then("accept");
    let reply = client.server.json(&Ask::bare_post(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&format!("the tools of `{name}` are accepted as they are"));
    }
    Ok(())
}

/// Reaches a server of the configuration from here, and shows what it says.
pub(super) fn test(frame: &mut Frame, name: &str) -> anyhow::Result<Exit> {
    let inputs = frame.inputs();
    let loaded = match frame.load(&inputs) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let config = &loaded.config;
    let given = config.contexts.vault_key.as_ref().and_then(|key| vault::parse(key.expose()));
    let logins = vault::existing(given, &config.data).map(|vault| Sealed::new(&config.data, vault));
    let gateway = &config.gateway;
    let Some(settings) = gateway.mcp.servers.iter().find(|server| server.name == name) else {
        frame.printer.error(&format!("no server `{name}` is configured"));
        let names: Vec<&str> = gateway.mcp.servers.iter().map(|s| s.name.as_str()).collect();
        let hint = match names.as_slice() {
            [] => "none is: `rapport mcp add NAME -- COMMAND` joins one".to_owned(),
            names => format!("these are: {}", names.join(", ")),
        };
        frame.printer.hint(&hint);
        return Ok(Exit::Usage);
    };
    let address = match &settings.reach {
        gateway::joined::Reach::Address { url, .. } => Some(url.as_str()),
        _ => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let kept = logins.zip(address).map(|(logins, url)| logins.of(name, url));
        let done = probe(settings, gateway.local_only, kept).await;
        // What it started gets a moment to end.
        tokio::time::sleep(Duration::from_millis(100)).await;
        done
    });
    runtime.shutdown_timeout(Duration::from_secs(3));
    match done {
        Ok(report) => {
            show(frame, name, &report)?;
            Ok(Exit::Fine)
        }
        Err(text) => {
            if frame.printer.is_json() {
                frame.printer.json(&json!({"name": name, "ok": false, "error": text}))?;
            } else {
                frame.printer.error(&format!("`{name}` does not work: {text}"));
            }
            Ok(Exit::Problem)
        }
    }
}

fn show(frame: &mut Frame, name: &str, report: &Report) -> anyhow::Result<()> {
    let took = report.took.as_millis();
    if frame.printer.is_json() {
        let [resources, templates, prompts] = report.others;
        return frame.printer.json(&json!({
            "name": name, "ok": true, "revision": report.revision, "info": report.info,
            "tools": report.tools, "resources": resources, "templates": templates,
            "prompts": prompts, "took_ms": took, "stderr": report.complaints,
            "garbage": report.garbage,
        }));
    }
    let is = cell(&report.info, "/name");
    let revision = report.revision.as_deref().unwrap_or("OpenAPI");
    let printer = &mut frame.printer;
    printer.line(&format!(
        "`{name}` works: {is} {} ({revision}), {took} ms",
        cell(&report.info, "/version")
    ));
    for tool in &report.tools {
        printer.line(&format!("  {}", short(tool, 80)));
    }
    if let Some(garbage) = &report.garbage {
        printer.warn(&format!("it writes to its output what is no message: `{garbage}`"));
    }
    for line in report.complaints.iter().rev().take(5).rev() {
        printer.note(&format!("it says: {}", short(line, 120)));
    }
    Ok(())
}
