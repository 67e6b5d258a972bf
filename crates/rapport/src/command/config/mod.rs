//! `rapport config`: write, check, show, compare and repair the configuration.

mod client;
mod fix;
mod init;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};

use super::Frame;
use crate::config::{Loaded, generate, load, running, show};
use crate::print::Exit;
use crate::runtime;

/// Flags of `config`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a commented rapport.yaml and its schema into the working directory
    Init {
        /// Also .env.example, .gitignore lines, compose.yaml and Dockerfile
        #[arg(long)]
        all: bool,
        /// Replace files that exist
        #[arg(long)]
        force: bool,
    },
    /// Say everything that is wrong, each with its place
    Check,
    /// Every value that counts; secrets are hidden
    Show {
        /// Also where it comes from, and what it overrode
        #[arg(long)]
        origin: bool,
    },
    /// The settings of a desktop client that name the server; NAME=VALUE writes one
    Client {
        /// `server_address=URL`, `mcp_port=N` or `api_key=KEY`
        #[arg(value_name = "NAME=VALUE")]
        settings: Vec<String>,
    },
    /// What differs between the running server and the files
    Drift,
    /// Replace ports that are none in the configuration file; keeps a copy
    Fix {
        /// Do it; without this the difference is only shown
        #[arg(long)]
        yes: bool,
        /// The file to repair, also of another program; the configuration file when left out
        file: Option<PathBuf>,
    },
    /// The JSON Schema of the file, for editors
    Schema,
    /// The reference page
    Docs,
}

/// The configuration file that counts, also when it cannot be used.
pub(super) fn own_file(frame: &Frame) -> Option<PathBuf> {
    fix::own(frame)
}

/// The text with ports in the places of numbers that are none.
pub(super) fn with_ports(text: &str) -> String {
    fix::fixed(text)
}

/// The text with `to` where one of `writings` is the port of this machine.
pub(super) fn with_moved_port(text: &str, writings: &[String], to: u16) -> String {
    fix::moved(text, writings, to)
}

/// Runs `config`.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    match &options.what {
        What::Init { all, force } => init::run(frame, *all, *force),
        What::Check => check(frame),
        What::Show { origin } => show(frame, *origin),
        What::Client { settings } => client::run(frame, settings),
        What::Drift => drift(frame),
        What::Fix { yes, file } => fix::run(frame, file.as_deref(), *yes),
        What::Schema => {
            frame.printer.json(&generate::schema())?;
            Ok(Exit::Fine)
        }
        What::Docs => {
            frame.printer.line(generate::docs().trim_end());
            Ok(Exit::Fine)
        }
    }
}

fn check(frame: &mut Frame) -> anyhow::Result<Exit> {
    let result = load(&frame.inputs());
    if frame.printer.is_json() {
        let (problems, warnings) = match &result {
            Ok(loaded) => (Vec::new(), loaded.warnings.clone()),
            Err(refused) => {
                let problems = refused.problems.iter().map(ToString::to_string).collect();
                (problems, refused.warnings.clone())
            }
        };
        let ok = problems.is_empty();
        frame.printer.json(&serde_json::json!({
            "ok": ok, "problems": problems, "warnings": warnings,
        }))?;
    }
    match result {
        Ok(loaded) => {
            if !frame.printer.is_json() {
                for warning in &loaded.warnings {
                    frame.printer.warn(warning);
                }
                let file = loaded.file.map(|path| path.display().to_string());
                let file = file.unwrap_or_else(|| "no configuration file".to_owned());
                frame.printer.line(&format!("the configuration is fine ({file})"));
            }
            Ok(Exit::Fine)
        }
        Err(refused) => {
            if !frame.printer.is_json() {
                frame.refuse(&refused);
            }
            Ok(if refused.has_port() { Exit::InvalidPort } else { Exit::Problem })
        }
    }
}

fn show(frame: &mut Frame, origin: bool) -> anyhow::Result<Exit> {
    let loaded = match frame.load(&frame.inputs()) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let mut rows = show::rows(&loaded);
    rows.extend(client::shown(&frame.env));
    if frame.printer.is_json() {
        frame.printer.json(&rows)?;
        return Ok(Exit::Fine);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if origin {
        table.set_header(["key", "value", "from", "overrides"]);
    }
    for row in rows {
        if origin {
            table.add_row([row.key, row.value, row.source, row.overridden.join(", ")]);
        } else {
            table.add_row([row.key, row.value]);
        }
    }
    frame.printer.line(&table.trim_fmt());
    Ok(Exit::Fine)
}

fn drift(frame: &mut Frame) -> anyhow::Result<Exit> {
    let loaded: Loaded = match frame.load(&frame.inputs()) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let folder = &loaded.config.data;
    let running = runtime::of_folder(folder).and_then(|_| running::read(folder));
    let Some(running) = running else {
        let folder = folder.display();
        frame.printer.error(&format!("no server runs in `{folder}`: name its folder with --data"));
        return Ok(Exit::Problem);
    };
    let rows = show::rows(&loaded);
    let value = |rows: &[show::Row], key: &str| {
        rows.iter().find(|row| row.key == key).map(|row| row.value.clone()).unwrap_or_default()
    };
    let mut keys: Vec<&String> = rows.iter().chain(&running).map(|row| &row.key).collect();
    keys.sort();
    keys.dedup();
    let mut found = Vec::new();
    for key in keys {
        let (runs, written) = (value(&running, key), value(&rows, key));
        if runs != written {
            found.push(serde_json::json!({"key": key, "running": runs, "written": written}));
            if !frame.printer.is_json() {
                frame.printer.line(&format!("{key}\n- running: {runs}\n+ written: {written}"));
            }
        }
    }
    if frame.printer.is_json() {
        frame.printer.json(&found)?;
    } else if found.is_empty() {
        frame.printer.line("the running server uses what is written");
    }
    Ok(if found.is_empty() { Exit::Fine } else { Exit::Problem })
}
