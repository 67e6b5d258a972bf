//! A conversation under way: its context, its model, and what was said.

use serde_json::{Map, Value, json};

use super::super::reach::Client;
use super::super::{context, speech};
use super::{Next, Options};
use crate::remote::{Ask, Class, Failure, Server};

/// How far a conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The server does not have it.
    Unmade,
    /// The server has it.
    Made,
    /// Something was answered here.
    Spoken,
}

/// One conversation.
#[derive(Debug)]
pub(super) struct Talk {
    id: Option<String>,
    stage: Stage,
    model: Option<String>,
    system: Option<String>,
    recreate: bool,
    failed: bool,
    /// What was said here, in case the server loses it.
    copy: Vec<(&'static str, String)>,
}

impl Talk {
    /// Goes on with `context`, or begins a new one with the first message.
    pub(super) fn new(context: Option<String>, options: &Options) -> Self {
        Self {
            stage: if context.is_some() { Stage::Made } else { Stage::Unmade },
            id: context,
            model: options.model.clone(),
            system: options.system.clone(),
            recreate: options.recreate,
            failed: false,
            copy: Vec::new(),
        }
    }

    /// Its context.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Something was said in it.
    pub(super) fn is_begun(&self) -> bool {
        self.stage == Stage::Spoken || self.failed
    }

    /// The last turn failed, and the server keeps its question.
    pub(super) fn can_retry(&self) -> bool {
        self.failed
    }

    /// The model of the next turns.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Leaves the context; the next message begins a new one.
    pub(super) fn leave(&mut self) {
        self.id = None;
        self.stage = Stage::Unmade;
        self.failed = false;
        self.copy.clear();
    }

    /// Changes the model, also of the context.
    ///
    /// # Errors
    /// Of every class.
    pub(super) async fn choose(&mut self, client: &Client<'_>, model: &str) -> Result<(), Failure> {
        self.model = Some(model.to_owned());
        self.edit(client, &json!({"settings": {"model": model}})).await
    }

    /// Changes the instructions, also of the context.
    ///
    /// # Errors
    /// Of every class.
    pub(super) async fn instruct(
        &mut self,
        client: &Client<'_>,
        system: &str,
    ) -> Result<(), Failure> {
        self.system = Some(system.to_owned());
        self.edit(client, &json!({"system": system})).await
    }

    async fn edit(&self, client: &Client<'_>, change: &Value) -> Result<(), Failure> {
        let Some(id) = self.id.as_deref().filter(|_| self.stage != Stage::Unmade) else {
            return Ok(());
        };
        let asked = client.server.json(&Ask::patch(context::path(id), change)).await;
        shown_is_done(client, asked.map(drop))
    }

    /// Sends a message and prints the reply as it comes. Ctrl-C stops the reply, and a second one
    /// the conversation.
    ///
    /// # Errors
    /// Of every class.
    pub(super) async fn say(
        &mut self,
        client: &mut Client<'_>,
        message: &str,
    ) -> Result<Next, Failure> {
        match self.send(client, message).await {
            Err(failure) if self.recreate && failure.code() == Some("context_not_found") => {
                self.stage = Stage::Unmade;
                let said = self.copy.len();
                let text =
                    format!("the server has lost the context: made again with {said} messages");
                client.printer.warn(&text);
                self.send(client, message).await
            }
            said => said,
        }
    }

    async fn send(&mut self, client: &mut Client<'_>, message: &str) -> Result<Next, Failure> {
        let id = self.begin(client).await?;
        let mut body = json!({"message": message});
        if let (Some(model), Some(body)) = (&self.model, body.as_object_mut()) {
            body.insert("model".to_owned(), json!(model));
        }
        let ask = Ask::post(context::path(&id).then("turns"), &body).once().streaming();
        self.run(client, &id, &ask, message).await
    }

    /// Asks again for the reply that failed.
    ///
    /// # Errors
    /// Of every class.
    pub(super) async fn retry(&mut self, client: &mut Client<'_>) -> Result<Next, Failure> {
        let id = self.begin(client).await?;
        let mut body = Map::new();
        body.extend(self.model.iter().map(|model| ("model".to_owned(), json!(model))));
        let path = context::path(&id).then("turns").then("retry");
        let ask = Ask::post(path, &Value::Object(body)).streaming();
        self.run(client, &id, &ask, "").await
    }

    async fn run(
        &mut self,
        client: &mut Client<'_>,
        id: &str,
        ask: &Ask,
        message: &str,
    ) -> Result<Next, Failure> {
        let server = client.server.clone();
        let turn = Box::pin(speech::speak(client, ask));
        let done = stoppable(turn, &server, id).await;
        let Some(done) = done else { return Ok(Next::Quit) };
        self.failed = done.as_ref().is_err_and(is_kept);
        let done = done?;
        self.stage = Stage::Spoken;
        client.remember(id);
        let turn: Value = serde_json::from_str(&done).unwrap_or_default();
        let text = turn.get("text").and_then(Value::as_str).unwrap_or_default();
        if !message.is_empty() {
            self.copy.push(("user", message.to_owned()));
        }
        self.copy.push(("assistant", text.to_owned()));
        Ok(Next::More)
    }

    /// The context, made with the first message.
    async fn begin(&mut self, client: &Client<'_>) -> Result<String, Failure> {
        let id = self.id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        self.id = Some(id.clone());
        if self.stage != Stage::Unmade {
            return Ok(id);
        }
        let mut body = json!({"id": id});
        if let Some(body) = body.as_object_mut() {
            body.extend(self.system.iter().map(|text| ("system".to_owned(), json!(text))));
            let settings = self.model.iter().map(|name| json!({"model": name}));
            body.extend(settings.map(|settings| ("settings".to_owned(), settings)));
            if !self.copy.is_empty() {
                let message =
                    |(role, text): &(&str, String)| json!({"role": role, "content": text});
                let messages: Value = self.copy.iter().map(message).collect();
                body.insert("messages".to_owned(), messages);
            }
        }
        let made = client.server.json(&Ask::post("/api/v1/contexts", &body).once()).await;
        shown_is_done(client, made.map(drop))?;
        self.stage = Stage::Made;
        Ok(id)
    }
}

/// A request that was shown instead of sent has done all it should.
fn shown_is_done(client: &Client<'_>, done: Result<(), Failure>) -> Result<(), Failure> {
    if client.server.only_shows() { Ok(()) } else { done }
}

/// The server took the question, and keeps it for another try.
fn is_kept(failure: &Failure) -> bool {
    let refused = failure.class() == Class::Auth || failure.code() == Some("context_not_found");
    failure.code().is_some() && !refused
}

/// Somebody cancelled the turn.
pub(super) fn is_stopped(failure: &Failure) -> bool {
    failure.code() == Some("cancelled")
}

/// Waits for the turn. Ctrl-C has the server stop it; `None` when it was pressed twice.
async fn stoppable<T>(turn: impl Future<Output = T>, server: &Server, id: &str) -> Option<T> {
    let mut turn = std::pin::pin!(turn);
    let mut stopped = false;
    loop {
        tokio::select! {
            done = &mut turn => return Some(done),
            _ = tokio::signal::ctrl_c() => {
                if std::mem::replace(&mut stopped, true) {
                    return None;
                }
                let path = context::path(id).then("turns").then("cancel");
                if let Err(failure) = server.json(&Ask::bare_post(path)).await {
                    tracing::debug!("the turn cannot be cancelled: {failure}");
                    return None;
                }
            }
        }
    }
}
