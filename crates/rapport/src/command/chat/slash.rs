//! The commands of a conversation, which begin with a slash.

use serde_json::Value;

use super::super::reach::Client;
use super::super::table::{cell, table};
use super::super::{context, given};
use super::Next;
use super::talk::Talk;
use crate::remote::{Ask, Class, Failure};

/// Every command, as `/help` shows it.
const HELP: &[(&str, &str)] = &[
    ("/help", "this list"),
    ("/new", "begin a new conversation"),
    ("/model [NAME]", "show or change the model that answers"),
    ("/models", "the models there are"),
    ("/context", "what is known of this conversation"),
    ("/history [N]", "the last N messages, 20 without a number"),
    ("/state [JSON]", "show the state, or merge a JSON object into it"),
    ("/system TEXT", "give the model instructions"),
    ("/retry", "ask again for a reply that failed or was stopped"),
    ("/export FILE", "write this conversation into a new file"),
    ("/quit", "end; so does Ctrl-D"),
];

/// Messages of `/history` without a number.
const HISTORY: u32 = 20;

/// Does what the command says, which is given without its slash.
///
/// # Errors
/// Of every class; [`Class::Usage`] for a command that does not exist.
pub(super) async fn run(
    client: &mut Client<'_>,
    talk: &mut Talk,
    command: &str,
) -> Result<Next, Failure> {
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    match name {
        "help" | "?" | "" => help(client),
        "quit" | "exit" | "q" => return Ok(Next::Quit),
        "new" => {
            talk.leave();
            client.printer.note("A new conversation begins with your next message.");
        }
        "model" => model(client, talk, rest).await?,
        "models" => models(client).await?,
        "context" => context::show_one(client, begun(talk)?).await?,
        "history" => {
            let last = if rest.is_empty() { Ok(HISTORY) } else { rest.parse() };
            let last = last.map_err(|_none| wrong(format!("`{rest}` is no number of messages")))?;
            context::print_messages(client, begun(talk)?, last).await?;
        }
        "state" => state(client, begun(talk)?, rest).await?,
        "system" if rest.is_empty() => return Err(wrong("`/system` needs a text".to_owned())),
        "system" => talk.instruct(client, rest).await?,
        "retry" => return talk.retry(client).await,
        "export" if rest.is_empty() => return Err(wrong("`/export` needs a file".to_owned())),
        "export" => {
            let mut text = Vec::new();
            context::export(client, begun(talk)?, &mut text).await?;
            context::write(rest, &String::from_utf8_lossy(&text))?;
            client.printer.note(&format!("Written into {rest}."));
        }
        _ => return Err(unknown(name)),
    }
    Ok(Next::More)
}

fn wrong(text: String) -> Failure {
    Failure::new(Class::Usage, text).hint("/help shows the commands")
}

fn unknown(name: &str) -> Failure {
    let names: Vec<&str> = HELP.iter().filter_map(|(usage, _)| word(usage)).collect();
    let text = match crate::config::nearest(name, names.iter().copied()) {
        Some(near) => format!("there is no command `/{name}`: did you mean `/{near}`?"),
        None => format!("there is no command `/{name}`"),
    };
    Failure::new(Class::Usage, text)
        .hint("/help shows the commands; `//` begins a message that begins with a slash")
}

fn word(usage: &str) -> Option<&str> {
    usage.strip_prefix('/')?.split(' ').next()
}

fn begun(talk: &Talk) -> Result<&str, Failure> {
    let text = "the conversation begins with your first message";
    talk.id().ok_or_else(|| Failure::new(Class::Problem, text))
}

fn help(client: &mut Client<'_>) {
    for (usage, meaning) in HELP {
        client.printer.line(&format!("{usage:<16} {meaning}"));
    }
}

async fn model(client: &mut Client<'_>, talk: &mut Talk, name: &str) -> Result<(), Failure> {
    if !name.is_empty() {
        return talk.choose(client, name).await;
    }
    let chosen = talk.model().map(ToOwned::to_owned);
    let chosen = match (chosen, talk.id()) {
        (None, Some(id)) => cell(&context::get(client, id).await?.value, "/settings/model"),
        (chosen, _) => chosen.unwrap_or_default(),
    };
    let text = if chosen.is_empty() { "the server's default".to_owned() } else { chosen };
    client.printer.line(&text);
    Ok(())
}

async fn models(client: &mut Client<'_>) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get("/api/v1/models")).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let default = cell(&reply.value, "/default");
    let mut rows = table(&["", "model", "provider", "window", "state"]);
    let models = reply.value.get("models").and_then(Value::as_array);
    for model in models.into_iter().flatten() {
        let is = |path: &str| model.pointer(path) == Some(&Value::Bool(true));
        let state = match (is("/offline"), is("/configured")) {
            (true, _) => "offline".to_owned(),
            (_, false) => "not configured".to_owned(),
            _ => cell(model, "/last_error"),
        };
        let name = cell(model, "/name");
        let mark = if name == default { "*" } else { "" };
        let window = cell(model, "/window_tokens");
        rows.add_row([mark.to_owned(), name, cell(model, "/provider"), window, state]);
    }
    client.printer.line(&rows.trim_fmt());
    Ok(())
}

async fn state(client: &mut Client<'_>, id: &str, patch: &str) -> Result<(), Failure> {
    let path = context::path(id).then("state");
    let ask = if patch.is_empty() {
        Ask::get(path)
    } else {
        Ask::patch(path, &given::object(patch, "/state")?)
    };
    let reply = client.server.json(&ask).await?;
    client.printer.line(&format!("{:#}", reply.value));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_is_answered_with_the_one_that_was_meant() {
        let failure = unknown("histroy");
        assert!(failure.to_string().contains("did you mean `/history`?"), "{failure}");
    }
}
