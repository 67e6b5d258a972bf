//! `rapport context redact`: takes away what must not be kept.

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::reach::Client;
use super::super::table::cell;
use super::{find, path, told};
use crate::remote::{Ask, Failure};

/// Flags of `context redact`.
#[derive(Clone, Debug, Args)]
pub(super) struct Redact {
    /// The context; `-` is the current one
    id: String,
    /// The first message; the oldest when left out
    #[arg(long, value_name = "SEQ")]
    first: Option<u32>,
    /// The last message; the newest when left out
    #[arg(long, value_name = "SEQ")]
    last: Option<u32>,
    /// What to look for, such as email,card,iban,key,phone
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "all")]
    patterns: Vec<String>,
    /// A regular expression to look for beside them
    #[arg(long, value_name = "REGEX", conflicts_with = "all")]
    own: Option<String>,
    /// Take away everything that is said in these messages
    #[arg(long)]
    all: bool,
}

/// Redacts stored messages, for good.
pub(super) async fn redact(client: &mut Client<'_>, asked: &Redact) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let mut body = Map::new();
    for (name, value) in [("first", asked.first), ("last", asked.last)] {
        body.extend(value.map(|seq| (name.to_owned(), json!(seq))));
    }
    if asked.all {
        body.insert("all".to_owned(), json!(true));
    }
    if !asked.patterns.is_empty() {
        body.insert("patterns".to_owned(), json!(asked.patterns));
    }
    body.extend(asked.own.iter().map(|own| ("own".to_owned(), json!({"own": own}))));
    let ask = Ask::post(path(&id).then("redact"), &Value::Object(body));
    let reply = client.server.json(&ask).await?;
    let at = |path: &str| cell(&reply.value, path);
    let found = reply.value.get("replaced").and_then(Value::as_object);
    let found = found.into_iter().flatten().map(|(what, count)| format!("{what} {count}"));
    let found = found.collect::<Vec<_>>().join(", ");
    let found = if found.is_empty() { "nothing".to_owned() } else { found };
    let text =
        format!("changed {} of {} messages; found: {found}", at("/changed"), at("/looked_at"));
    told(client, &reply, &text)
}
