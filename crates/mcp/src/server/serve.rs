//! What a server offers: the one trait that an owner of tools, resources and prompts writes.

use std::future::Future;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::interest::Subject;
use super::link::{Link, Question};
use crate::revision::Revision;
use crate::rpc::Refusal;

/// Who the server is.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Its name for programs.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Its version.
    pub version: String,
    /// How a model should use it.
    pub instructions: Option<String>,
}

impl About {
    pub(crate) fn info(&self) -> Value {
        json!({"name": self.name, "title": self.title, "version": self.version})
    }
}

/// Which kinds of things it offers.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent yes-or-no statements")]
pub struct Offers {
    /// Tools.
    pub tools: bool,
    /// Resources, with subscriptions.
    pub resources: bool,
    /// Prompts.
    pub prompts: bool,
    /// Completion of arguments.
    pub completions: bool,
    /// Resources cannot be listened to one by one.
    pub unwatched: bool,
}

impl Offers {
    pub(crate) fn capabilities(self) -> Value {
        let mut all = Map::new();
        if self.tools {
            all.insert("tools".to_owned(), json!({"listChanged": true}));
        }
        if self.resources {
            let subscribe = !self.unwatched;
            let can = json!({"subscribe": subscribe, "listChanged": true});
            all.insert("resources".to_owned(), can);
        }
        if self.prompts {
            all.insert("prompts".to_owned(), json!({"listChanged": true}));
        }
        if self.completions {
            all.insert("completions".to_owned(), json!({}));
        }
        all.insert("logging".to_owned(), json!({}));
        Value::Object(all)
    }
}

/// One request, as an owner sees it.
#[derive(Debug)]
pub struct Ask<C> {
    /// Who asks.
    pub caller: C,
    /// The revision the client speaks.
    pub revision: Revision,
    /// The way back to the client while the request runs.
    pub link: Link,
}

/// A part of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The items, as they go out.
    pub items: Vec<Value>,
    /// Where the next part begins.
    pub next: Option<String>,
}

impl From<Vec<Value>> for Page {
    fn from(items: Vec<Value>) -> Self {
        Self { items, next: None }
    }
}

/// Why a request did not end with a result.
#[derive(Debug)]
pub enum Stop {
    /// It is refused.
    Refuse(Refusal),
    /// The client must be asked first; modern clients ask again with the answers.
    Input(Vec<Question>, Option<String>),
    /// The call goes on as a task; from [`Link::later`] only.
    Later,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

/// What a server offers. Everything is raw JSON in the words of the newest revision; what older
/// ones do not know they ignore.
pub trait Serve: Send + Sync + std::fmt::Debug + 'static {
    /// What is known of a caller.
    type Caller: Clone + Send + Sync + std::fmt::Debug + 'static;

    /// Who it is.
    fn about(&self) -> About;

    /// What kinds of things it has.
    fn offers(&self) -> Offers;

    /// The tools that this caller may use.
    fn tools(
        &self,
        ask: &Ask<Self::Caller>,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Page, Refusal>> + Send;

    /// Runs a tool; the result is the whole `CallToolResult`. `params` are all parameters of the
    /// request, `name` and `arguments` among them.
    fn call(
        &self,
        ask: &Ask<Self::Caller>,
        params: &Map<String, Value>,
    ) -> impl Future<Output = Result<Value, Stop>> + Send;

    /// The resources.
    fn resources(
        &self,
        ask: &Ask<Self::Caller>,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Page, Refusal>> + Send;

    /// The templates of resources.
    fn templates(
        &self,
        ask: &Ask<Self::Caller>,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Page, Refusal>> + Send;

    /// Reads a resource; the result is the whole `ReadResourceResult`, `None` when there is none of
    /// this name.
    fn read(
        &self,
        ask: &Ask<Self::Caller>,
        uri: &str,
    ) -> impl Future<Output = Result<Option<Value>, Stop>> + Send;

    /// The prompts.
    fn prompts(
        &self,
        ask: &Ask<Self::Caller>,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<Page, Refusal>> + Send;

    /// Fills a prompt in; the result is the whole `GetPromptResult`.
    fn prompt(
        &self,
        ask: &Ask<Self::Caller>,
        params: &Map<String, Value>,
    ) -> impl Future<Output = Result<Value, Stop>> + Send;

    /// The definition of one tool that this caller may use, where it is found without making the
    /// list; `None` when the list has to be looked through.
    fn mirrors(
        &self,
        _ask: &Ask<Self::Caller>,
        _name: &str,
    ) -> impl Future<Output = Option<Option<Arc<Value>>>> + Send {
        async { None }
    }

    /// Whether calls may become tasks.
    fn has_tasks(&self, _caller: &Self::Caller) -> bool {
        false
    }

    /// Whom a caller's tasks belong to: nobody else sees them.
    fn owner(&self, _caller: &Self::Caller) -> String {
        String::new()
    }

    /// Whether a caller may listen to this.
    fn hears(&self, _caller: &Self::Caller, _subject: &Subject) -> bool {
        true
    }

    /// The addresses that are known here and for which `is_meant` holds: a session that came back
    /// after a restart remembers no more of what it listened to.
    fn recall(
        &self,
        _caller: &Self::Caller,
        _is_meant: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Vec<String> {
        Vec::new()
    }

    /// Whether sessions may ask for tasks, as the revision 2025-11-25 has them.
    fn has_session_tasks(&self, _caller: &Self::Caller) -> bool {
        false
    }

    /// Answers a method of tasks, `tasks/get` or another one; `None` when it is about none of the
    /// owner's own.
    fn task(
        &self,
        _ask: &Ask<Self::Caller>,
        _method: &str,
        _params: &Map<String, Value>,
    ) -> impl Future<Output = Option<Result<Value, Refusal>>> + Send {
        async { None }
    }

    /// Completes an argument; the result is the whole `CompleteResult`.
    fn complete(
        &self,
        ask: &Ask<Self::Caller>,
        params: &Map<String, Value>,
    ) -> impl Future<Output = Result<Value, Refusal>> + Send;
}
