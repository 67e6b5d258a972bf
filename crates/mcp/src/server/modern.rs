//! The era without sessions: every request says who asks, in which revision, with what abilities.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::change::{Change, Listening};
use super::client::Client;
use super::interest::{Interest, Subject};
use super::link::{Level, Link, Out, Question, Way};
use super::replay::Replay;
use super::serve::{Ask, Serve, Stop};
use super::{Server, methods, task};
use crate::revision::Revision;
use crate::rpc::{self, Id, Params, Refusal, code};

/// The prefix of the names in `_meta`.
const PREFIX: &str = "io.modelcontextprotocol/";

/// What a request says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) revision: Revision,
    pub(crate) client: Client,
    level: Option<Level>,
}

/// Whether a request is of this era: it names a revision by itself.
pub(crate) fn is_modern(method: &str, params: &Params) -> bool {
    method == "server/discover" || params.meta(&format!("{PREFIX}protocolVersion")).is_some()
}

/// Reads what a request says of itself.
///
/// # Errors
/// What is missing, or a revision that is not spoken here.
pub(crate) fn said(params: &Params) -> Result<Said, Refusal> {
    let meta = |name: &str| params.meta(&format!("{PREFIX}{name}"));
    let missing = |name: &str| Refusal::params(format!("`_meta` must carry `{PREFIX}{name}`"));
    let version = meta("protocolVersion").ok_or_else(|| missing("protocolVersion"))?;
    let version = version
        .as_str()
        .ok_or_else(|| Refusal::params(format!("`{PREFIX}protocolVersion` must be a string")))?;
    let revision = Revision::parse(version).filter(|revision| revision.is_modern());
    let Some(revision) = revision else {
        let shown: String = version.chars().take(40).collect();
        let text = format!("the revision `{shown}` is not spoken here without `initialize`");
        let data = json!({"supported": Revision::names(), "requested": shown});
        return Err(Refusal::new(code::VERSION, text).with(data));
    };
    let capabilities = meta("clientCapabilities").and_then(Value::as_object);
    let capabilities = capabilities.ok_or_else(|| missing("clientCapabilities"))?;
    let level = meta("logLevel").and_then(Value::as_str).and_then(Level::parse);
    Ok(Said { revision, client: Client::read(capabilities), level })
}

impl<S: Serve> Server<S> {
    /// Runs a request; what it sends before its answer goes into `replay`. The answer and its HTTP
    /// status are returned; `None` when it was cancelled.
    pub(crate) async fn run_modern(
        &self,
        (said, caller): (Said, S::Caller),
        (id, method, params): (Id, String, Params),
        (replay, cancelled): (Arc<Replay>, CancellationToken),
    ) -> Option<(String, u16)> {
        let out = tokio::select! {
            out = self.modern((said, caller), (&method, &params), (&replay, &cancelled)) => out,
            () = cancelled.cancelled() => return None,
        };
        Some(match out {
            Out::Result(value) => {
                let value = methods::modern(&method, value, &self.about().info());
                (rpc::result(&id, &value), 200)
            }
            Out::Refused(refusal) => (rpc::error(Some(&id), &refusal), refusal.status),
        })
    }

    async fn modern(
        &self,
        (said, caller): (Said, S::Caller),
        (method, params): (&str, &Params),
        (replay, cancelled): (&Arc<Replay>, &CancellationToken),
    ) -> Out {
        if method == "server/discover" {
            return Out::Result(self.discover(&caller));
        }
        let purpose = format!("{method} {}", params.text("name").unwrap_or_default());
        let state = match params.text("requestState") {
            Some(sealed) => match self.inner().seal.open(&purpose, sealed) {
                Ok(state) => Some(state),
                Err(refusal) => return Out::Refused(refusal),
            },
            None => None,
        };
        let tasks = said.client.tasks;
        let answers = params.object("inputResponses").cloned().unwrap_or_default();
        let link = Link {
            replay: Arc::clone(replay),
            way: Way::Modern { answers, state },
            client: said.client,
            progress: params.meta("progressToken").cloned(),
            level: said.level,
            cancelled: cancelled.clone(),
        };
        let ask = Ask { caller, revision: said.revision, link };
        if method.starts_with("tasks/") {
            let own = match self.has_tasks(&ask.caller) && !tasks {
                true => Some(Err(task::lacking())),
                false => self.task(&ask, method, &params.0).await,
            };
            let outcome = own.or_else(|| self.task_method(&ask.caller, (method, params)));
            return match outcome {
                Some(Ok(value)) => Out::Result(value),
                Some(Err(refusal)) => Out::Refused(refusal),
                None => Out::Refused(Refusal::method(method)),
            };
        }
        match methods::answer(self.inner(), &ask, method, params).await {
            Some(Ok(value)) => Out::Result(value),
            Some(Err(Stop::Refuse(refusal))) => Out::Refused(refusal),
            Some(Err(Stop::Later)) => match self.go_on(ask, params.clone()) {
                Ok(value) => Out::Result(value),
                Err(refusal) => Out::Refused(refusal),
            },
            Some(Err(Stop::Input(questions, state))) => {
                Out::Result(self.needs(&purpose, questions, state.as_deref()))
            }
            None => Out::Refused(Refusal::method(method)),
        }
    }

    /// The answer that is a question.
    fn needs(&self, purpose: &str, questions: Vec<Question>, state: Option<&str>) -> Value {
        let requests: Map<String, Value> = questions
            .into_iter()
            .map(|q| (q.key, json!({"method": q.method, "params": q.params})))
            .collect();
        let mut result = json!({"resultType": "input_required"});
        if let Value::Object(map) = &mut result {
            if !requests.is_empty() {
                map.insert("inputRequests".to_owned(), Value::Object(requests));
            }
            if let Some(state) = state {
                let sealed = self.inner().seal.close(purpose, state);
                map.insert("requestState".to_owned(), sealed.into());
            }
        }
        result
    }

    fn discover(&self, caller: &S::Caller) -> Value {
        let mut capabilities = self.offers().capabilities();
        if let (Value::Object(map), true) = (&mut capabilities, self.has_tasks(caller)) {
            map.insert("extensions".to_owned(), json!({task::EXTENSION: {}}));
        }
        let mut result = json!({
            "supportedVersions": Revision::names(),
            "capabilities": capabilities,
        });
        if let (Value::Object(map), Some(text)) = (&mut result, self.about().instructions) {
            map.insert("instructions".to_owned(), text.into());
        }
        result
    }

    /// The definition of a tool that this caller may use.
    pub(crate) async fn tool(
        &self,
        (caller, said): (S::Caller, Said),
        name: &str,
    ) -> Result<Option<Arc<Value>>, Refusal> {
        let link = Link {
            replay: Replay::new(0),
            way: Way::Modern { answers: Map::new(), state: None },
            client: said.client,
            progress: None,
            level: None,
            cancelled: CancellationToken::new(),
        };
        let ask = Ask { caller, revision: said.revision, link };
        if let Some(known) = self.mirrors(&ask, name).await {
            return Ok(known);
        }
        let mut cursor: Option<String> = None;
        // Limit: pages of one list.
        for _ in 0..100 {
            let page = (**self).tools(&ask, cursor.as_deref()).await?;
            let found = page.items.into_iter().find(|tool| tool.get("name") == Some(&name.into()));
            if found.is_some() {
                return Ok(found.map(Arc::new));
            }
            let Some(next) = page.next else { return Ok(None) };
            cursor = Some(next);
        }
        Ok(None)
    }

    /// Opens a subscription: the acknowledgement, and what follows it.
    pub(crate) fn listen(
        &self,
        caller: &S::Caller,
        (id, params): (Id, &Params),
    ) -> (String, Subscription) {
        let wanted = params.object("notifications").or_else(|| params.object("filter"));
        let wanted = wanted.cloned().unwrap_or_else(|| params.0.clone());
        let offers = self.offers();
        let flag = |name: &str| wanted.get(name) == Some(&Value::Bool(true));
        let names = |field: &str| -> Vec<String> {
            let all = wanted.get(field).and_then(Value::as_array).into_iter().flatten();
            // Limit: resources and tasks one subscription listens to.
            all.filter_map(Value::as_str).map(ToOwned::to_owned).take(1_000).collect()
        };
        let hears = |subject: &Subject| self.hears(caller, subject);
        let uris = names("resourceSubscriptions").into_iter().map(Subject::Resource);
        let tasks = names("taskIds").into_iter();
        let tasks = tasks.filter(|id| self.has_tasks(caller) && self.is_of(id, caller));
        let uris = uris.filter(|uri| offers.resources && hears(uri));
        let filter = Filter {
            tools: flag("toolsListChanged") && offers.tools,
            prompts: flag("promptsListChanged") && offers.prompts,
            resources: flag("resourcesListChanged") && offers.resources,
            each: uris.chain(tasks.map(Subject::Task)).collect(),
        };
        let interest = self.interest(filter.each.iter().cloned().collect());
        let came = self.inner().changes.listen();
        let subscription = Subscription { id, filter, came, _interest: interest };
        (subscription.acknowledged(), subscription)
    }
}

#[derive(Debug)]
struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    each: Vec<Subject>,
}

/// What one client listens to.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: Id,
    filter: Filter,
    came: Listening,
    _interest: Interest,
}

impl Subscription {
    fn acknowledged(&self) -> String {
        let mut accepted = Map::new();
        for (name, on) in [
            ("toolsListChanged", self.filter.tools),
            ("promptsListChanged", self.filter.prompts),
            ("resourcesListChanged", self.filter.resources),
        ] {
            if on {
                accepted.insert(name.to_owned(), true.into());
            }
        }
        let (mut uris, mut tasks) = (Vec::new(), Vec::new());
        for subject in &self.filter.each {
            match subject {
                Subject::Resource(uri) => uris.push(uri.clone()),
                Subject::Task(id) => tasks.push(id.clone()),
            }
        }
        for (name, all) in [("resourceSubscriptions", uris), ("taskIds", tasks)] {
            if !all.is_empty() {
                accepted.insert(name.to_owned(), all.into());
            }
        }
        let params = self.tagged(json!({"notifications": accepted}));
        rpc::notification("notifications/subscriptions/acknowledged", &params)
    }

    /// The next notification; `None` when the server goes away.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let change = self.came.next().await?;
            let wanted = match &change {
                Change::Tools => self.filter.tools,
                Change::Prompts => self.filter.prompts,
                Change::Resources => self.filter.resources,
                Change::Resource(uri) => self.filter.each.contains(&Subject::Resource(uri.clone())),
                Change::Task(task) => self.filter.each.contains(&Subject::Task(task.id.clone())),
            };
            if let Some((method, params)) = change.said(true).filter(|_| wanted) {
                return Some(rpc::notification(method, &self.tagged(params)));
            }
        }
    }

    fn tagged(&self, mut params: Value) -> Value {
        if let Value::Object(map) = &mut params {
            let id = serde_json::from_str(self.id.as_json()).unwrap_or(Value::Null);
            let mut meta = Map::new();
            meta.insert(format!("{PREFIX}subscriptionId"), id);
            map.insert("_meta".to_owned(), Value::Object(meta));
        }
        params
    }
}
