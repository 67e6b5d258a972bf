//! `rapport key`: makes, lists and revokes keys, at the running server or straight in its store.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Frame;
use super::given;
use super::reach::{Client, Reach};
use super::table::{cell, moment, table};
use crate::config::Store;
use crate::parts::Parts;
use crate::print::Exit;
use crate::remote::{Ask, Class, Failure, PathOf};

/// Flags of `key`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
    /// Work on the store of the data folder, which no running server may use
    #[arg(long, global = true)]
    offline: bool,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Make a key and show it once
    Create(Create),
    /// Show all keys, without the keys themselves
    List,
    /// Change the name, the scopes or the models of a key
    Set(Set),
    /// End a key at once and for good
    Revoke {
        /// The key's id or at least four characters of it, or the key itself
        id: String,
    },
}

#[derive(Clone, Debug, Args)]
struct Create {
    /// Who or what uses the key
    name: String,
    /// What it may do: read, write, admin (each includes those before it)
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_value = "read,write")]
    scope: Vec<String>,
    /// End it after this time, such as 30d, 12h or 600 (seconds)
    #[arg(long, value_name = "TIME", value_parser = span)]
    expires: Option<Duration>,
    /// The models and routes it may use, such as 'claude-*,openai/gpt-5.4,ollama/*'; else all
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    models: Vec<String>,
}

#[derive(Clone, Debug, Args)]
struct Set {
    /// The key's id or at least four characters of it, or the key itself
    id: String,
    /// Who or what uses the key
    #[arg(long)]
    name: Option<String>,
    /// What it may do: read, write, admin (each includes those before it)
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    scope: Option<Vec<String>>,
    /// The models and routes it may use; 'all' ends the limit
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    models: Option<Vec<String>>,
}

impl Set {
    /// The patterns; none for `all`.
    fn patterns(&self) -> Option<&[String]> {
        self.models.as_deref().map(|list| if list == ["all"] { &[] } else { list })
    }

    /// The body of the API's call.
    fn body(&self) -> Result<Value, Failure> {
        let mut body = serde_json::Map::new();
        body.extend(self.name.as_ref().map(|name| ("name".to_owned(), json!(name))));
        body.extend(self.scope.as_ref().map(|scope| ("scopes".to_owned(), json!(scope))));
        body.extend(self.patterns().map(|models| ("models".to_owned(), json!(models))));
        if body.is_empty() {
            return Err(Failure::new(Class::Usage, "nothing to change was named")
                .hint("add --models, --scope or --name"));
        }
        Ok(Value::Object(body))
    }
}

fn span(text: &str) -> Result<Duration, String> {
    given::span(text).map(Duration::from_secs)
}

/// Does what was asked.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let folder_named = frame.globals.data.is_some();
    options.reach.run(frame, async |client| {
        let value = answer(client, options, folder_named).await?;
        show(client, options, &value);
        Ok(())
    })
}

/// Makes a key for an application; `None` when that failed, which was said.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn make(frame: &mut Frame, reach: &Reach, name: &str) -> anyhow::Result<Option<String>> {
    let scope = vec!["read".to_owned(), "write".to_owned()];
    let verb =
        Verb::Create(Create { name: name.to_owned(), scope, expires: None, models: Vec::new() });
    let options = Options { verb, offline: false, reach: reach.clone() };
    let folder_named = frame.globals.data.is_some();
    let mut secret = None;
    reach.run(frame, async |client| {
        let made = answer(client, &options, folder_named).await?;
        secret = Some(cell(&made, "/secret")).filter(|secret| !secret.is_empty());
        Ok(())
    })?;
    Ok(secret)
}

/// What is said when from now on keys are needed and none may make others.
const NO_ADMIN: &str = "from now on every caller needs a key, and no key may make others: stop the \
                        server once (`rapport stop`) and `rapport key create NAME --scope admin`";

/// The server's answer, or the same one from the store when no server runs.
async fn answer(
    client: &mut Client<'_>,
    options: &Options,
    folder_named: bool,
) -> Result<Value, Failure> {
    let running = client.config.as_ref().and_then(|c| crate::runtime::of_folder(&c.data)).is_some();
    let there = client.found.named || client.server.only_shows();
    if options.offline || (folder_named && !there && !running) {
        return offline(client, &options.verb).await;
    }
    let done = online(client, &options.verb).await;
    if let (Ok(_), Verb::Create(create)) = (&done, &options.verb)
        && !(client.server.shows_key() || client.server.only_shows())
        && !create.scope.iter().any(|scope| scope == "admin")
    {
        // Whoever needed no key to make one has made the first.
        client.printer.warn(NO_ADMIN);
    }
    match done {
        // Nothing listens: then nobody holds the store either.
        Err(failure) if failure.class() == Class::Refused && !there => {
            offline(client, &options.verb).await
        }
        answered => answered,
    }
}

async fn online(client: &Client<'_>, verb: &Verb) -> Result<Value, Failure> {
    let ask = match verb {
        Verb::List => Ask::get("/api/v1/keys"),
        Verb::Create(create) => {
            let mut body = json!({"name": create.name, "scopes": create.scope,
                                  "models": create.models});
            if let (Some(expires), Some(body)) = (create.expires, body.as_object_mut()) {
                body.insert("expires_in_seconds".to_owned(), json!(expires.as_secs()));
            }
            Ask::post("/api/v1/keys", &body)
        }
        Verb::Set(set) => {
            let body = set.body()?;
            let id = known_id(client, &set.id).await?;
            Ask::patch(PathOf::new("/api/v1/keys").then(&id), &body)
        }
        Verb::Revoke { id } => {
            let id = known_id(client, id).await?;
            Ask::delete(PathOf::new("/api/v1/keys").then(&id))
        }
    };
    Ok(client.server.json(&ask).await?.value)
}

async fn known_id(client: &Client<'_>, written: &str) -> Result<String, Failure> {
    if client.server.only_shows() {
        return Ok(written.to_owned());
    }
    let keys = client.server.json(&Ask::get("/api/v1/keys")).await?;
    full_id(written, &keys.value)
}

/// Fewer characters of an id are too easily those of another one.
const ID_CHARACTERS_MIN: usize = 4;

/// The one key whose id begins with what was written, or that is what was written.
fn full_id(written: &str, keys: &Value) -> Result<String, Failure> {
    let all = keys.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let fits = |key: &&Value| {
        let (id, start) = (cell(key, "/id"), cell(key, "/prefix"));
        let by_id = written.len() >= ID_CHARACTERS_MIN && id.starts_with(written);
        by_id || id == written || (!start.is_empty() && written.starts_with(&start))
    };
    let found: Vec<String> = all.iter().filter(fits).map(|key| cell(key, "/id")).collect();
    match found.as_slice() {
        [id] => Ok(id.clone()),
        [] => Err(Failure::new(Class::Problem, format!("no key has the id `{written}`"))
            .hint("`rapport key list` shows the ids")),
        several => {
            let text = format!("{} keys begin with `{written}`", several.len());
            Err(Failure::new(Class::Usage, text).hint("write more of the id"))
        }
    }
}

/// Works on the store itself, which the data folder's lock keeps from two processes at once.
async fn offline(client: &mut Client<'_>, verb: &Verb) -> Result<Value, Failure> {
    let config = client.config.as_ref().ok_or_else(|| {
        Failure::new(Class::Usage, "without a configuration there is no store to work on")
    })?;
    if config.store == Store::Memory {
        let text = "`data.store: memory` keeps no keys while no server runs";
        return Err(Failure::new(Class::Usage, text).hint("start the server first: rapport serve"));
    }
    let data = config.data.clone();
    let made = data.parent().map_or(Ok(()), crate::data::private_folder);
    made.map_err(|error| Failure::new(Class::Unchecked, format!("{error:#}")))?;
    let parts = Parts::open(config, None).await.map_err(|error| of_store(&error))?;
    let done = in_store(&parts, verb).await;
    let may_make = |key: &catalog::Key| key.scopes.admin && key.revoked_at.is_none();
    let lacks_admin = matches!(verb, Verb::Create(_)) && !parts.keys.list().iter().any(may_make);
    let closed = parts.close().await.map_err(|error| of_store(&error));
    let value = done?;
    closed?;
    let text = format!("No server runs: worked on the store in {}.", data.display());
    client.printer.note(&text);
    if lacks_admin {
        client.printer.warn("no key may make others: `rapport key create NAME --scope admin`");
    }
    Ok(value)
}

async fn in_store(parts: &Parts, verb: &Verb) -> Result<Value, Failure> {
    let refused = |fault: wire::Fault| of_fault(&fault);
    let all = || json!({"keys": parts.keys.list().iter().map(shaped).collect::<Vec<_>>()});
    match verb {
        Verb::List => Ok(all()),
        Verb::Create(create) => {
            let scopes = catalog::Scopes::parse(&create.scope.join(",")).map_err(refused)?;
            let name = create.name.clone();
            let models = catalog::ModelLimit::parse(&create.models).map_err(refused)?;
            let new = catalog::NewKey { name, scopes, expires_in: create.expires, models };
            let made = parts.keys.create(new).await.map_err(refused)?;
            Ok(json!({"key": shaped(&made.key), "secret": made.secret.expose()}))
        }
        Verb::Set(set) => {
            set.body()?;
            let id = full_id(&set.id, &all())?;
            let scopes = set.scope.as_ref().map(|scope| catalog::Scopes::parse(&scope.join(",")));
            let change = catalog::Change {
                name: set.name.clone(),
                scopes: scopes.transpose().map_err(refused)?,
                models: set
                    .patterns()
                    .map(catalog::ModelLimit::parse)
                    .transpose()
                    .map_err(refused)?,
            };
            let key = parts.keys.update(&id, change).await.map_err(refused)?;
            Ok(json!({"key": shaped(&key)}))
        }
        Verb::Revoke { id } => {
            let id = full_id(id, &all())?;
            let key = parts.keys.revoke(&id).await.map_err(refused)?;
            Ok(json!({"key": shaped(&key)}))
        }
    }
}

/// A key as the API prints it.
fn shaped(key: &catalog::Key) -> Value {
    let time = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string();
    json!({
        "id": key.id, "name": key.name, "prefix": key.prefix, "scopes": key.scopes.names(),
        "models": key.models.patterns(),
        "created_at": time(key.created_at),
        "expires_at": key.expires_at.map(time),
        "last_used_at": key.last_used_at.map(time),
        "revoked_at": key.revoked_at.map(time),
    })
}

fn of_store(error: &anyhow::Error) -> Failure {
    match error.downcast_ref::<wire::Fault>() {
        Some(fault) => of_fault(fault),
        None => Failure::new(Class::Unchecked, format!("{error:#}")),
    }
}

fn of_fault(fault: &wire::Fault) -> Failure {
    let failure = Failure::new(Class::Problem, fault.text());
    match fault.hint_text() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn show(client: &mut Client<'_>, options: &Options, value: &Value) {
    if client.is_json() {
        client.printer.line(&value.to_string());
        return;
    }
    let key = value.get("key").unwrap_or(&Value::Null);
    match &options.verb {
        Verb::Create(_) => {
            // The secret alone on standard output: `KEY=$(rapport key create ci)`.
            client.printer.line(&cell(value, "/secret"));
            let (scopes, models) = (words(key, "scopes"), models(key));
            let text = format!(
                "This is the only time the key is shown. Scopes: {scopes}. Models: {models}. \
                 Id: {}\n\
                 Send it as `Authorization: Bearer KEY`; commands take it from RAPPORT_API_KEY.",
                cell(key, "/id")
            );
            client.printer.note(&text);
        }
        Verb::List => list(client, value),
        Verb::Set(_) => {
            let (name, id) = (cell(key, "/name"), cell(key, "/id"));
            let (scopes, models) = (words(key, "scopes"), models(key));
            let text = format!("`{name}` ({id}): scopes {scopes}; models {models}");
            client.printer.line(&text);
        }
        Verb::Revoke { .. } => {
            let text = format!("revoked `{}` ({})", cell(key, "/name"), cell(key, "/id"));
            client.printer.line(&text);
        }
    }
}

fn list(client: &mut Client<'_>, value: &Value) {
    let keys = value.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if keys.is_empty() {
        client.printer.note("There are no keys: on loopback everybody may do everything.");
        return;
    }
    let mut rows =
        table(&["id", "name", "key", "scopes", "models", "created", "last used", "state"]);
    for key in keys {
        let ended = [("/revoked_at", "revoked"), ("/expires_at", "expires")];
        let state = ended.iter().find_map(|(path, word)| {
            let at = moment(key, path);
            (!at.is_empty()).then(|| format!("{word} {at}"))
        });
        rows.add_row([
            cell(key, "/id"),
            cell(key, "/name"),
            format!("{}…", cell(key, "/prefix")),
            words(key, "scopes"),
            models(key),
            moment(key, "/created_at"),
            moment(key, "/last_used_at"),
            state.unwrap_or_else(|| "valid".to_owned()),
        ]);
    }
    client.printer.line(&rows.trim_fmt());
}

fn words(key: &Value, name: &str) -> String {
    let words = key.get(name).and_then(Value::as_array).into_iter().flatten();
    words.map(|word| cell(word, "")).collect::<Vec<_>>().join(", ")
}

fn models(key: &Value) -> String {
    Some(words(key, "models")).filter(|text| !text.is_empty()).unwrap_or_else(|| "all".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        assert_eq!(span("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(span("600"), Ok(Duration::from_secs(600)));
        for text in ["", "d", "0", "1y", "-1d", "99999999999999999999d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_is_named_by_the_beginning_of_its_id_if_only_one_has_it() {
        let key = |id, start| json!({"id": id, "prefix": start});
        let keys = json!({"keys": [key("abcd1", "rap_1"), key("abcd2", "rap_2")]});
        assert_eq!(full_id("abcd1", &keys).unwrap(), "abcd1");
        assert_eq!(full_id("rap_2xyz", &keys).unwrap(), "abcd2");
        assert_eq!(full_id("abcd", &keys).unwrap_err().class(), Class::Usage);
        for too_little in ["abc", "rap_", "", "x"] {
            let failure = full_id(too_little, &keys).unwrap_err();
            assert_eq!(failure.class(), Class::Problem, "{too_little}");
        }
    }
}
