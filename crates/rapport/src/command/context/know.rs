//! What is known beside the conversation: notes of a context, profiles of users.

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::given;
use super::super::reach::Client;
use super::super::table::{cell, moment, short, table};
use super::{find, path, told};
use crate::remote::{Ask, Failure, PathOf, Reply};

/// Flags of `context note`.
#[derive(Clone, Debug, Args)]
pub(super) struct Note {
    /// The context; `-` is the current one
    id: String,
    /// What to note: text, or any JSON; without it the notes are listed
    value: Option<String>,
    /// The kind of the note, such as fact, environment, plan, step or persona
    #[arg(long, value_name = "KIND", requires = "value")]
    kind: Option<String>,
    /// A note of the same kind and name is replaced
    #[arg(long, value_name = "NAME", requires = "value")]
    name: Option<String>,
    /// After this time, such as 30d, 12h or 600 (seconds), it no longer holds
    #[arg(long, value_name = "TIME", value_parser = given::span, requires = "value")]
    expires: Option<u64>,
    /// Forget the note with this number instead
    #[arg(long, value_name = "NUMBER", conflicts_with = "value")]
    forget: Option<u32>,
}

/// Notes something, lists the notes, or forgets one.
pub(super) async fn note(client: &mut Client<'_>, asked: &Note) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let place = path(&id).then("notes");
    if let Some(number) = asked.forget {
        let reply = client.server.json(&Ask::delete(place.then(&number.to_string()))).await?;
        return told(client, &reply, &format!("forgot note {number} of `{id}`"));
    }
    let Some(value) = &asked.value else {
        let reply = client.server.json(&Ask::get(place)).await?;
        return list(client, &reply, &id);
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.as_str()));
    let mut body = Map::from_iter([("value".to_owned(), value)]);
    for (name, word) in [("kind", &asked.kind), ("name", &asked.name)] {
        body.extend(word.iter().map(|word| (name.to_owned(), json!(word))));
    }
    body.extend(asked.expires.map(|s| ("expires_in_seconds".to_owned(), json!(s))));
    let reply = client.server.json(&Ask::post(place, &Value::Object(body))).await?;
    told(client, &reply, &format!("note {} of `{id}`", cell(&reply.value, "/number")))
}

fn list(client: &mut Client<'_>, reply: &Reply, id: &str) -> Result<(), Failure> {
    let mut rows = table(&["note", "kind", "name", "value", "expires"]);
    for note in reply.value.get("notes").and_then(Value::as_array).into_iter().flatten() {
        rows.add_row([
            cell(note, "/number"),
            cell(note, "/kind"),
            cell(note, "/name"),
            short(&cell(note, "/value"), 80),
            moment(note, "/expires_at"),
        ]);
    }
    if client.is_json() || rows.row_count() > 0 {
        return told(client, reply, &rows.trim_fmt());
    }
    client.printer.note(&format!("There are none. Note one: rapport context note {id} TEXT"));
    Ok(())
}

/// Flags of `context profile`.
#[derive(Clone, Debug, Args)]
pub(super) struct Profile {
    /// The user, as contexts name them
    user: String,
    /// Merge patch as a JSON object; null removes a key
    #[arg(long, value_name = "JSON", conflicts_with = "delete")]
    patch: Option<String>,
    /// Forget what is known of them; their contexts stay
    #[arg(long)]
    delete: bool,
}

/// Shows, changes or forgets what is known of a user in all their contexts.
pub(super) async fn profile(client: &mut Client<'_>, asked: &Profile) -> Result<(), Failure> {
    let place = PathOf::new("/api/v1/profiles").then(&asked.user);
    let ask = match &asked.patch {
        Some(text) => Ask::patch(place, &given::object(text, "--patch")?),
        None if asked.delete => Ask::delete(place),
        None => Ask::get(place),
    };
    let reply = client.server.json(&ask).await?;
    let text = if asked.delete {
        format!("nothing is known of `{}` any more", asked.user)
    } else {
        format!("{:#}", reply.value)
    };
    told(client, &reply, &text)
}
