//! Calls after the handshake: `{"id", "method", "params"}` in, result, error or partials out.

use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::mpsc;
use wire::event::Event;
use wire::{Code, Fault};

use super::{Line, request_id};
use crate::auth::{Caller, Scope};
use crate::flow::{self, STEPS_MAX, Step};
use crate::surface::native::models;
use crate::surface::{fields, problem, second, writing};

/// The methods, in the order of the documentation.
const METHODS: &[&str] = &["summarize", "generate_prompt", "interact", "status", "ping"];

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Line<S> {
    /// Answers one call; the connection stays open whatever becomes of it.
    pub(super) async fn call(&mut self, mut map: Map<String, Value>) -> std::io::Result<()> {
        let id = map.get("id").cloned().unwrap_or(Value::Null);
        let outcome = match read(&mut map) {
            Ok((method, params)) => self.perform(&id, &method, params).await?,
            Err(fault) => Err(fault),
        };
        let out = match outcome {
            Ok(result) => json!({"id": id, "result": result}),
            Err(fault) => {
                self.gate.metrics().fault(&fault);
                let mut error = problem::object(&fault, &request_id());
                error.insert("message".to_owned(), fault.text().into());
                json!({"id": id, "error": error})
            }
        };
        self.write(&format!("{out}\n")).await
    }

    async fn perform(
        &mut self,
        id: &Value,
        method: &str,
        params: Map<String, Value>,
    ) -> std::io::Result<Result<Value, Fault>> {
        let caller = match self.caller(None) {
            Ok(caller) => caller,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(match method {
            "summarize" => writing::summary(params).await,
            "generate_prompt" => writing::writing_prompt(&params),
            "status" => Ok(models::describe(&self.gate).await),
            "ping" => Ok(json!({"pong": true, "version": self.gate.about().version})),
            "interact" => match caller.must(Scope::Write) {
                Ok(()) => return self.interact_framed(id, params, &caller).await,
                Err(fault) => Err(fault),
            },
            other => Err(Fault::new(
                Code::InvalidInput,
                format!("`{}` is not a method", other.escape_default()),
            )
            .hint(format!("use one of: {}", METHODS.join(", ")))
            .details(json!({"methods": METHODS}))),
        })
    }

    async fn interact_framed(
        &mut self,
        id: &Value,
        params: Map<String, Value>,
        caller: &Caller,
    ) -> std::io::Result<Result<Value, Fault>> {
        let read = second::read(&params).and_then(|said| {
            let streamed = said.stream;
            let mut ask = said.ask(caller, self.session.as_deref())?;
            let bytes = Value::Object(params.clone()).to_string();
            ask.idem = second::idem_of(&params, bytes.as_bytes())?;
            Ok((ask, streamed))
        });
        let (ask, streamed) = match read {
            Ok(read) => read,
            Err(fault) => return Ok(Err(fault)),
        };
        let (steps, mut came) = mpsc::channel(STEPS_MAX);
        let gate = self.gate.clone();
        let turn = flow::turn(&gate, ask, streamed.then_some(steps));
        tokio::pin!(turn);
        let mut result = None;
        loop {
            let listens = self.listens();
            tokio::select! {
                biased;
                Some(step) = came.recv() => {
                    if let Step::Event(Event::Text { text, .. }) = step {
                        self.write(&format!("{}\n", json!({"id": id, "partial": text}))).await?;
                    }
                }
                done = &mut turn, if result.is_none() => result = Some(done),
                came = self.stream.read_buf(&mut self.ahead),
                    if result.is_none() && listens =>
                {
                    self.is_half_closed = came? == 0;
                }
                else => break,
            }
        }
        let lost = || Err(Fault::internal("the turn ended without a result"));
        Ok(result.unwrap_or_else(lost).map(|answered| second::reply(&answered)))
    }
}

fn read(map: &mut Map<String, Value>) -> Result<(String, Map<String, Value>), Fault> {
    let method = fields::text(map, "method")?.ok_or_else(|| fields::missing("method"))?.to_owned();
    let params = match map.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(other) => return Err(fields::wrong("params", "an object", &other)),
    };
    Ok((method, params))
}
