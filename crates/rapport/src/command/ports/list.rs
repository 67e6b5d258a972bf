//! `rapport ports list`: every listening socket of this machine, and the program behind it.

use clap::Args;
use doctor::port;
use doctor::sockets::{Listener, table, why_hidden};
use serde_json::{Value, json};

use crate::command::{Frame, table as columns};
use crate::print::Exit;
use crate::runtime;

/// Limit: characters of a command line in the table; `--json` has it whole.
const COMMAND_MAX: usize = 60;

/// Flags of `ports list`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only this port, or the programs that have this text in their command
    filter: Option<String>,
    /// UDP sockets as well
    #[arg(long)]
    udp: bool,
    /// Only the running servers of this product
    #[arg(long)]
    own: bool,
}

/// Prints the table; 1 when a filter finds nothing.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    if let Some(filter) = &options.filter
        && !filter.is_empty()
        && filter.bytes().all(|byte| byte.is_ascii_digit())
        && let Err(invalid) = port::parse(filter, port::Place::Argument)
    {
        return Ok(super::refused(frame, &invalid));
    }
    let read = match table() {
        Ok(read) => read,
        Err(unavailable) => {
            frame.printer.error(&unavailable.to_string());
            frame.printer.hint("a single port can be looked at: rapport doctor PORT");
            return Ok(Exit::Unchecked);
        }
    };
    let own = runtime::all(&frame.env);
    let udp = read.udp.iter().filter(|_| options.udp).map(|row| ("udp", row));
    let mut rows: Vec<(&str, &Listener)> =
        read.listeners.iter().map(|row| ("tcp", row)).chain(udp).collect();
    rows.sort_by_key(|(protocol, row)| (row.port, *protocol, row.address));
    let wanted = |row: &Listener| {
        let is_own = own.iter().any(|server| Some(server.pid) == pid(row));
        (!options.own || is_own)
            && options.filter.as_deref().is_none_or(|filter| matches(row, filter))
    };
    let found: Vec<Value> = rows
        .into_iter()
        .filter(|(_, row)| wanted(row))
        .map(|(protocol, row)| {
            let server = own.iter().find(|server| Some(server.pid) == pid(row));
            let data = server.map(|server| server.data_dir.display().to_string());
            line(protocol, row, data.as_deref())
        })
        .collect();
    let is_empty = found.is_empty();
    show(frame, &found)?;
    Ok(if is_empty && options.filter.is_some() { Exit::Problem } else { Exit::Fine })
}

fn pid(row: &Listener) -> Option<u32> {
    row.owner.as_ref().map(|owner| owner.pid)
}

fn matches(row: &Listener, filter: &str) -> bool {
    if let Ok(port) = filter.parse::<u16>() {
        return row.port == port;
    }
    let owner = row.owner.as_ref().or(row.guess.as_ref());
    owner.is_some_and(|owner| owner.command.contains(filter))
}

fn line(protocol: &str, row: &Listener, data: Option<&str>) -> Value {
    let owner = row.owner.as_ref().or(row.guess.as_ref());
    json!({
        "port": row.port,
        "protocol": protocol,
        "address": row.address.to_string(),
        "pid": owner.map(|owner| owner.pid),
        "user": owner.map(|owner| owner.user.clone()),
        "command": owner.map(|owner| owner.command.clone()),
        "started": owner.and_then(|owner| owner.started.clone()),
        "state": owner.and_then(|owner| owner.state),
        "waiting": row.waiting,
        "certain": row.owner.is_some(),
        "data_dir": data,
    })
}

fn show(frame: &mut Frame, found: &[Value]) -> anyhow::Result<()> {
    if frame.printer.is_json() {
        return frame.printer.json(&found);
    }
    let titles = ["port", "protocol", "address", "pid", "user", "since", "command"];
    let mut table = columns::table(&titles);
    for row in found {
        let hidden = row["pid"].is_null();
        let command = columns::cell(row, "/command");
        let command = columns::short(&command, COMMAND_MAX);
        table.add_row([
            columns::cell(row, "/port"),
            columns::cell(row, "/protocol"),
            columns::cell(row, "/address"),
            columns::cell(row, "/pid"),
            columns::cell(row, "/user"),
            columns::moment(row, "/started"),
            if hidden { format!("({})", why_hidden()) } else { command },
        ]);
    }
    for line in table.to_string().lines() {
        frame.printer.line(line.trim_end());
    }
    Ok(())
}
