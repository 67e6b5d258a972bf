//! A server that was reached: requests go to it, and what it says of itself is known.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::desk::{Call, Desk};
use super::failure::{Failure, shown};
use super::listen::Special;
use super::mirror::{flaw, mirrors};
use super::old::Old;
use super::pipe::Pipe;
use super::streamable::Endpoint;
use crate::revision::Revision;
use crate::rpc::{self, Id};
use crate::server::Change;
use crate::tasks;

/// Limit: pages of one list.
const PAGES_MAX: usize = 200;
/// Limit: items of one list.
const ITEMS_MAX: usize = 10_000;
/// The prefix of the names in `_meta` that are the protocol's own.
const PREFIX: &str = "io.modelcontextprotocol/";

/// What a server says of itself.
#[derive(Clone, Debug)]
pub struct Hello {
    /// The revision that was agreed.
    pub revision: Revision,
    /// What it can do.
    pub capabilities: Map<String, Value>,
    /// Its name and version.
    pub info: Value,
    /// How a model should use it.
    pub instructions: Option<String>,
}

impl Hello {
    /// Whether it tells of single resources.
    #[must_use]
    pub fn watches(&self) -> bool {
        let resources = self.capabilities.get("resources");
        resources.and_then(|can| can.get("subscribe")) == Some(&Value::Bool(true))
    }

    /// Whether calls may become tasks there: by its own choice in the modern era, by the caller's
    /// in the legacy one.
    #[must_use]
    pub fn has_tasks(&self) -> bool {
        let place = if self.revision.is_modern() {
            self.capabilities.get("extensions").and_then(|all| all.get(crate::server::TASKS))
        } else {
            self.capabilities
                .get("tasks")
                .and_then(|all| all.get("requests")?.get("tools")?.get("call"))
        };
        place.is_some_and(Value::is_object)
    }

    /// Whether it has this capability.
    #[must_use]
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.contains_key(capability)
    }
}

/// How messages reach it.
#[derive(Debug)]
pub(super) enum Way {
    Pipe(Pipe),
    Old(Old),
    Http(Arc<Endpoint>),
}

impl Way {
    /// Sends a request and waits for its answer, however long that takes.
    pub(super) async fn ask(&self, desk: &Arc<Desk>, call: Call) -> Result<Value, Failure> {
        self.ask_with(desk, call, Vec::new()).await
    }

    async fn ask_with(
        &self,
        desk: &Arc<Desk>,
        mut call: Call,
        mirrored: Vec<(String, String)>,
    ) -> Result<Value, Failure> {
        if desk.gone.is_cancelled() {
            return Err(match desk.why() {
                Failure::Lost(lost) => Failure::unsent(lost.why),
                other => other,
            });
        }
        let number = desk.number();
        if call.told.is_some() {
            let meta = call.params.entry("_meta").or_insert_with(|| json!({}));
            if let Value::Object(meta) = meta {
                meta.insert("progressToken".to_owned(), number.into());
            }
        }
        let mut seat = desk.expect(number, call.told.take(), call.whose);
        let params = Value::Object(call.params);
        let leaving = Leaving { way: self, number, method: &call.method, left: false };
        let answered = match self {
            Self::Http(endpoint) => {
                endpoint.call(number, (&call.method, params), (&mut seat, mirrored)).await
            }
            Self::Pipe(pipe) => {
                pipe.send(rpc::request(&Id::number(number), &call.method, &params)).await?;
                seat.answered().await
            }
            Self::Old(old) => {
                old.send(rpc::request(&Id::number(number), &call.method, &params)).await?;
                seat.answered().await
            }
        };
        leaving.answered();
        answered
    }

    /// Sends what needs no answer.
    pub(super) async fn tell(&self, method: &str, params: &Value) -> Result<(), Failure> {
        let line = rpc::notification(method, params);
        match self {
            Self::Http(endpoint) => endpoint.tell(line).await,
            Self::Pipe(pipe) => pipe.send(line).await,
            Self::Old(old) => old.send(line).await,
        }
    }
}

/// A request under way: whoever stops waiting for it tells the server so.
struct Leaving<'a> {
    way: &'a Way,
    number: u64,
    method: &'a str,
    left: bool,
}

impl Leaving<'_> {
    fn answered(mut self) {
        self.left = true;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        // `initialize` must not be cancelled.
        if self.left || self.method == "initialize" {
            return;
        }
        let params = json!({"requestId": self.number, "reason": "nobody waits any more"});
        let line = rpc::notification("notifications/cancelled", &params);
        match self.way {
            Way::Pipe(pipe) => pipe.hint(line),
            Way::Old(old) => old.hint(line),
            Way::Http(endpoint) => {
                let endpoint = Arc::clone(endpoint);
                endpoint.cancel(line);
            }
        }
    }
}

/// A server that was reached.
#[derive(Debug)]
pub struct Upstream {
    pub(super) desk: Arc<Desk>,
    pub(super) way: Way,
    hello: Hello,
    /// Who we say we are.
    pub(super) about: Value,
    changes: Mutex<Option<mpsc::Receiver<Change>>>,
    /// Which arguments of which tool come in headers, too.
    mirrors: Mutex<HashMap<String, Vec<(String, String)>>>,
    /// The subscription to single resources and tasks, in the modern era.
    pub(super) special: Mutex<Option<Special>>,
}

impl Upstream {
    pub(super) fn new(
        (desk, changes): (Arc<Desk>, mpsc::Receiver<Change>),
        way: Way,
        (hello, about): (Hello, Value),
    ) -> Self {
        let (changes, mirrors) = (Mutex::new(Some(changes)), Mutex::default());
        Self { desk, way, hello, about, changes, mirrors, special: Mutex::default() }
    }

    /// What it says of itself.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// What changes there, from now on; there is one listener, the first who asks.
    pub fn changes(&self) -> Option<mpsc::Receiver<Change>> {
        self.changes.lock().take()
    }

    /// Ends when the server is gone.
    #[must_use]
    pub fn gone(&self) -> &CancellationToken {
        &self.desk.gone
    }

    /// Why it is gone.
    #[must_use]
    pub fn why(&self) -> Failure {
        self.desk.why()
    }

    /// The last lines it wrote to standard error, the oldest first.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        match &self.way {
            Way::Pipe(pipe) => pipe.complaints.lines(),
            Way::Old(_) | Way::Http(_) => Vec::new(),
        }
    }

    /// What it wrote to standard output that is no message, if it did.
    #[must_use]
    pub fn garbage(&self) -> Option<String> {
        match &self.way {
            Way::Pipe(pipe) => pipe.garbage(),
            Way::Old(_) | Way::Http(_) => None,
        }
    }

    /// Sends a request and waits for its answer, however long that takes. Whoever drops the future
    /// cancels the request.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn call(&self, mut call: Call) -> Result<Value, Failure> {
        self.introduce(&mut call);
        let mirrored = self.mirrored(&call);
        self.way.ask_with(&self.desk, call, mirrored).await
    }

    /// Every item of a list, page by page.
    ///
    /// # Errors
    /// [`Failure`]; a list that never ends is one.
    pub async fn list(&self, method: &str, field: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<Value> = None;
        for _ in 0..PAGES_MAX {
            let mut call = Call { method: method.to_owned(), ..Call::default() };
            if let Some(cursor) = cursor.take() {
                call.params.insert("cursor".to_owned(), cursor);
            }
            let mut page = self.call(call).await?;
            let found = page.get_mut(field).map(Value::take);
            let Some(Value::Array(found)) = found else {
                return Err(Failure::lost(format!("its answer to `{method}` has no `{field}`")));
            };
            items.extend(found);
            if items.len() > ITEMS_MAX {
                let text = format!("its list `{field}` has more than {ITEMS_MAX} items");
                return Err(Failure::lost(text));
            }
            match page.get_mut("nextCursor").map(Value::take) {
                None | Some(Value::Null) => {
                    if method == "tools/list" {
                        self.drop_flawed(&mut items);
                        *self.mirrors.lock() = mirrors(&items);
                    }
                    return Ok(items);
                }
                Some(next) => cursor = Some(next),
            }
        }
        Err(Failure::lost(format!("its list `{field}` has no end")))
    }

    /// Leaves tools out that want headers which can be none; one bad tool harms no other.
    fn drop_flawed(&self, tools: &mut Vec<Value>) {
        if !self.hello.revision.is_modern() || !matches!(self.way, Way::Http(_)) {
            return;
        }
        tools.retain(|tool| {
            let Some(flaw) = flaw(tool) else { return true };
            let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
            let name: String = name.chars().take(100).collect();
            tracing::warn!("the tool `{name}` of a server is left out: {}", shown(&flaw));
            false
        });
    }

    /// Tells it something that needs no answer.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn tell(&self, method: &str, params: &Value) -> Result<(), Failure> {
        self.way.tell(method, params).await
    }

    /// Ends the connection.
    pub fn close(&self) {
        if let Way::Http(endpoint) = &self.way {
            endpoint.leave();
        }
        self.desk.lose(Failure::unsent("it was closed"));
    }

    /// In the modern era every request says who asks and what can be asked of it.
    fn introduce(&self, call: &mut Call) {
        let is_empty = {
            let Some(Value::Object(meta)) = call.params.get_mut("_meta") else {
                return self.introduce_new(call);
            };
            // What a caller's own client said of itself is not what we say.
            meta.retain(|name, _| !name.starts_with(PREFIX) && name != "progressToken");
            meta.is_empty()
        };
        if is_empty {
            call.params.shift_remove("_meta");
        }
        self.introduce_new(call);
    }

    fn introduce_new(&self, call: &mut Call) {
        if !self.hello.revision.is_modern() {
            return;
        }
        let level = call.level.map(|level| level.name());
        let own = meta(self.hello.revision, &self.about, (&call.capabilities, level));
        let meta = call.params.entry("_meta").or_insert_with(|| json!({}));
        if let (Value::Object(meta), Value::Object(own)) = (meta, own) {
            meta.extend(own);
        }
    }

    fn mirrored(&self, call: &Call) -> Vec<(String, String)> {
        if call.method != "tools/call" || !self.hello.revision.is_modern() {
            return Vec::new();
        }
        let name = call.params.get("name").and_then(Value::as_str).unwrap_or_default();
        let mirrors = self.mirrors.lock();
        let arguments = call.params.get("arguments");
        let said = mirrors.get(name).into_iter().flatten().filter_map(|(property, header)| {
            let value = match arguments?.get(property)? {
                Value::Null => return None,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some((header.to_ascii_lowercase(), value))
        });
        said.collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.desk.lose(Failure::unsent("it was closed"));
    }
}

/// What a modern request says of its sender.
pub(super) fn meta(
    revision: Revision,
    about: &Value,
    (capabilities, level): (&Map<String, Value>, Option<&str>),
) -> Value {
    let mut meta = Map::new();
    meta.insert(format!("{PREFIX}protocolVersion"), revision.name().into());
    meta.insert(format!("{PREFIX}clientInfo"), about.clone());
    meta.insert(format!("{PREFIX}clientCapabilities"), Value::Object(capabilities.clone()));
    if let Some(level) = level {
        meta.insert(format!("{PREFIX}logLevel"), level.into());
    }
    Value::Object(meta)
}

impl Endpoint {
    /// Tells the server that nobody waits any more. In the modern era the end of the exchange says
    /// it.
    fn cancel(self: Arc<Self>, line: String) {
        if self.is_legacy() {
            tasks::spawn(async move {
                let telling = self.tell(line);
                drop(tokio::time::timeout(std::time::Duration::from_secs(5), telling).await);
            });
        }
    }
}
