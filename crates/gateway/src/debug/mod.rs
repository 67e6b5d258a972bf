//! For developers: step mode, which holds calls at named points, and what is in memory.
//!
//! Nothing here happens unless `debug` is set, and then for administrators on this machine alone.
//! Who holds calls is handed in, so that there is one such mechanism in the program.

mod points;

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::Value;
use wire::{Code, Fault};

pub(crate) use points::{Sent, answered, joined, parsed, parsed_answer, prompted, turned, written};

/// Where on its way a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// It was read; nothing was done with it.
    Parsed,
    /// What it says is part of its context, and its change of the state is merged.
    Joined,
    /// The model's request is written; nobody was asked.
    Prompt,
    /// The answer is there; its caller has not got it whole.
    Answer,
}

impl Point {
    /// All of them, in the order in which a call comes by.
    pub const ALL: &[Self] = &[Self::Parsed, Self::Joined, Self::Prompt, Self::Answer];

    /// The name, as rules and answers have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parsed => "parsed",
            Self::Joined => "joined",
            Self::Prompt => "prompt",
            Self::Answer => "answer",
        }
    }
}

/// A call at a point.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// The point.
    pub point: Point,
    /// The path of the model call, or `/api/v1/contexts/ID` for a turn of a context, whichever
    /// door it came by.
    pub path: String,
    /// The request's id, as its answer will name it; empty where it is not known.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub request: Arc<str>,
    /// The number of the turn, once it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<u64>,
    /// The model: as it was asked for, then the one that is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What there is to see.
    pub message: Value,
}

/// A call that waits.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    /// Its number, from 1.
    pub number: u64,
    /// Since when (RFC 3339).
    pub since: String,
    /// The call.
    #[serde(flatten)]
    pub seen: Seen,
}

/// Waits until somebody has decided; `false` when the call is to end here. Dropping it takes the
/// call out of those that wait.
pub type Holding = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Holds calls that fit its rules until somebody has looked at them.
pub trait Debugger: fmt::Debug + Send + Sync {
    /// What becomes of a call; nothing when no rule is for it.
    fn hold(&self, seen: Seen) -> Option<Holding>;

    /// Puts rules in the place of those that were; without any, all that wait go on.
    ///
    /// # Errors
    /// What is wrong with one, and what would be right; then nothing changes.
    fn set_rules(&self, rules: &[String]) -> Result<(), String>;

    /// The rules as they are.
    fn rules(&self) -> Vec<String>;

    /// The calls that wait, without the secrets in their messages.
    fn waiting(&self) -> Vec<Waiting>;

    /// Lets a call go on, or ends it; `false` when it does not wait.
    fn decide(&self, number: u64, goes_on: bool) -> bool;

    /// A text without secrets.
    fn without_secrets(&self, text: &str) -> String;
}

/// Step mode of one gateway.
#[derive(Debug, Default)]
pub struct Debugging {
    /// Whether there is any rule: all that a call costs where there is none is to read this.
    steps: AtomicBool,
    by: OnceLock<Box<dyn Debugger>>,
}

impl Debugging {
    /// Says, once, who holds calls.
    pub(crate) fn settle(&self, by: impl Debugger + 'static) {
        // The first one's calls would wait for ever behind a second.
        let _first = self.by.set(Box::new(by));
    }

    /// Who holds calls.
    pub(crate) fn by(&self) -> Option<&dyn Debugger> {
        self.by.get().map(|by| &**by)
    }

    /// Whether any call may have to wait.
    pub(crate) fn steps(&self) -> bool {
        self.steps.load(Ordering::Relaxed)
    }

    /// As [`Debugger::set_rules`].
    pub(crate) fn set_rules(&self, rules: &[String]) -> Result<(), String> {
        let Some(by) = self.by() else { return Ok(()) };
        by.set_rules(rules)?;
        self.steps.store(!rules.is_empty(), Ordering::Relaxed);
        Ok(())
    }

    /// Ends step mode: everything goes on.
    pub(crate) fn off(&self) {
        // No rules are always rules.
        let _none = self.set_rules(&[]);
    }

    /// Holds a call where a rule says so.
    ///
    /// # Errors
    /// `cancelled` when somebody ended it.
    pub(crate) async fn pass(&self, seen: Seen) -> Result<(), Fault> {
        let point = seen.point;
        let Some(holding) = self.by().and_then(|by| by.hold(seen)) else { return Ok(()) };
        if holding.await {
            return Ok(());
        }
        let text = format!("the call was ended in step mode, at `{}`", point.as_str());
        Err(Fault::new(Code::Cancelled, text)
            .hint("`rapport debug step off` lets all calls pass again"))
    }
}
