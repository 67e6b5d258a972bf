//! One line of the list: what of an exchange is told at a glance.

use std::time::Duration;

use crate::capture::{Ending, Exchange};
use crate::decode::{self, Severity, View};
use crate::{redact, visible};

/// An exchange in the list.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) title: String,
    /// The status, or the ending in a word.
    pub(super) state: String,
    pub(super) took: Option<Duration>,
    /// What it was about, or what is wrong with it.
    pub(super) about: String,
    pub(super) mood: Mood,
    pub(super) is_open: bool,
    /// It fits the filter.
    pub(super) is_shown: bool,
}

/// How a row is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Odd,
    Bad,
    Open,
}

impl Row {
    /// The row of an exchange that goes on: what is known without reading its body.
    pub(super) fn open(exchange: &Exchange) -> Self {
        let status = exchange.answer.as_ref().map(|head| head.status().to_string());
        Self {
            number: exchange.number,
            title: title(exchange),
            state: status.unwrap_or_else(|| "…".to_owned()),
            took: exchange.times.over,
            about: if exchange.rules.is_empty() {
                String::new()
            } else {
                exchange.rules.join(", ")
            },
            mood: Mood::Open,
            is_open: true,
            is_shown: true,
        }
    }

    /// The row of one that is over.
    pub(super) fn over(exchange: &Exchange, view: &View, is_shown: bool) -> Self {
        let state = match view.status {
            0 => brief(&exchange.ending).to_owned(),
            status => status.to_string(),
        };
        let worst = view.findings.first();
        let about = match worst {
            Some(finding) if view.about.is_empty() => format!("! {}", finding.text),
            Some(finding) => format!("{}  ! {}", view.about, finding.text),
            None => view.about.clone(),
        };
        let mood = match worst.map(|finding| finding.severity) {
            Some(Severity::Error) => Mood::Bad,
            Some(Severity::Warning) => Mood::Odd,
            None if view.status >= 400 => Mood::Bad,
            None => Mood::Good,
        };
        Self {
            number: exchange.number,
            title: title(exchange),
            state,
            took: exchange.times.over,
            about: visible(&redact::text(&about)).replace(['\n', '\t'], " "),
            mood,
            is_open: false,
            is_shown,
        }
    }

    /// The time it took, as people read it.
    pub(super) fn time(&self) -> String {
        self.took.map(decode::shown).unwrap_or_default()
    }
}

/// How it ended without an answer, in the room of a status.
fn brief(ending: &Ending) -> &'static str {
    match ending {
        Ending::Open => "…",
        Ending::Whole => "",
        Ending::CutByTarget => "cut",
        Ending::CutByCaller => "left",
        Ending::Unreached(_) => "none",
        Ending::ByRule(_) => "rule",
    }
}

fn title(exchange: &Exchange) -> String {
    visible(&redact::path(&exchange.title())).replace(['\n', '\t'], " ")
}
