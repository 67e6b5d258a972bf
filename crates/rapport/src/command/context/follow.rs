//! Following a context: everything that is said in it, as it is said.

use clap::Args;
use serde_json::Value;

use super::super::reach::Client;
use super::super::table::{cell, said};
use super::{find, path};
use crate::remote::{Ask, Class, Failure};

/// Flags of `context events`.
#[derive(Clone, Debug, Args)]
pub(super) struct Events {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
    /// Tell what comes after this message; `now` tells only what is new
    #[arg(long, value_name = "SEQ")]
    after: Option<String>,
    /// Go on until the context is closed or the command is stopped
    #[arg(long, short)]
    follow: bool,
}

/// Limit: how often a stream that was cut is asked for again without anything new.
const CUTS_MAX: u32 = 5;

/// Prints the events: with JSON one object a line, else the messages.
pub(super) async fn events(client: &mut Client<'_>, asked: &Events) -> Result<(), Failure> {
    let id = find(client, asked.id.as_deref()).await?;
    let mut after = asked.after.clone();
    let mut cuts = 0;
    loop {
        let place = path(&id).then("events").query("after", after.as_deref());
        let mut events = client.server.stream(&Ask::get(place).streaming()).await?;
        let cut = loop {
            match events.next().await {
                Ok(Some(event)) => {
                    cuts = 0;
                    if let Some(seq) = event.id {
                        after = Some(seq);
                    }
                    let name = event.event.as_deref().unwrap_or("message");
                    let data: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
                    tell(client, name, &data);
                    // The first `context` says that everything known was told.
                    if name == "end" || (name == "context" && !asked.follow) {
                        return Ok(());
                    }
                }
                Ok(None) => break None,
                Err(failure) => break Some(failure),
            }
        };
        cuts += 1;
        match cut {
            Some(failure) if cuts > CUTS_MAX || failure.class() == Class::Timeout => {
                return Err(failure);
            }
            None if cuts > CUTS_MAX => return Ok(()),
            _ => client.printer.note("The connection was cut; going on where it was."),
        }
    }
}

fn tell(client: &mut Client<'_>, name: &str, data: &Value) {
    if client.is_json() {
        let line = serde_json::json!({"event": name, "data": data});
        client.printer.line(&line.to_string());
        return;
    }
    match name {
        "message" => {
            let (seq, role) = (cell(data, "/seq"), cell(data, "/role"));
            let text = said(data.get("content").unwrap_or(&Value::Null));
            client.printer.line(&format!("{seq} {role}: {text}"));
        }
        "rollback" => {
            client.printer.note(&format!("It went back to message {}.", cell(data, "/to")));
        }
        "end" => {
            client.printer.note(&format!("It is over: {}.", cell(data, "/reason")));
        }
        _ => {}
    }
}
