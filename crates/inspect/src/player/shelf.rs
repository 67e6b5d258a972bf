//! What was recorded, by what was asked.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::spoken::Spoken;
use crate::capture::{Ending, Exchange, Kind};
use crate::diff::differing;
use crate::http::{Framing, Head};
use crate::redact;

/// Limit: requests that found no answer and are remembered.
const MISSED_MAX: usize = 100;
/// Limit: characters of a request's line that are remembered.
const TITLE_MAX: usize = 200;

/// Which request is the same as a recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Method, path, query and body are the same; JSON by its values, secrets left out.
    Body,
    /// Method, path and query are.
    Path,
}

/// An exchange that cannot be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its number in the recording.
    pub number: u64,
    /// Why.
    pub why: &'static str,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exchange {} is left out: {}", self.number, self.why)
    }
}

/// A body as it is compared.
#[derive(Debug, PartialEq)]
enum Said {
    Json(Value),
    Bytes(Vec<u8>),
}

#[derive(Debug)]
struct Fixture {
    number: u64,
    said: Said,
    body: Vec<u8>,
    spoken: Arc<Spoken>,
}

/// The recorded answers of one recording.
#[derive(Debug)]
pub(super) struct Shelf {
    fit: Fit,
    /// By method and path; each in the order in which they were recorded.
    fixtures: HashMap<(String, String), Vec<Fixture>>,
    left_out: Vec<LeftOut>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// How often each exchange was played.
    played: HashMap<u64, u64>,
    missed: VecDeque<Value>,
    missed_count: u64,
}

impl Shelf {
    pub(super) fn new(exchanges: &[Exchange], fit: Fit) -> Self {
        let mut fixtures: HashMap<(String, String), Vec<Fixture>> = HashMap::new();
        let mut left_out = Vec::new();
        for exchange in exchanges {
            match fixture(exchange) {
                Ok((key, fixture)) => fixtures.entry(key).or_default().push(fixture),
                Err(why) => left_out.push(LeftOut { number: exchange.number, why }),
            }
        }
        Self { fit, fixtures, left_out, told: Mutex::default() }
    }

    pub(super) fn count(&self) -> usize {
        self.fixtures.values().map(Vec::len).sum()
    }

    pub(super) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The answer to a request.
    ///
    /// A request that was recorded several times gets its answers in their order, and the last of
    /// them from then on.
    ///
    /// # Errors
    /// The text says why there is none, and what comes nearest.
    pub(super) fn pick(&self, head: &Head, body: &[u8]) -> Result<Arc<Spoken>, String> {
        let key = key(head);
        let Some(known) = self.fixtures.get(&key) else {
            return Err(self.missed(&key, self.no_path(&key)));
        };
        let said = said(body);
        let mut told = self.told.lock();
        let mut last = None;
        for fixture in known.iter().filter(|one| self.fit == Fit::Path || one.said == said) {
            let is_new = !told.played.contains_key(&fixture.number);
            last = Some(fixture);
            if is_new {
                break;
            }
        }
        if let Some(fixture) = last {
            *told.played.entry(fixture.number).or_default() += 1;
            return Ok(Arc::clone(&fixture.spoken));
        }
        drop(told);
        Err(self.missed(&key, nearest(known, body)))
    }

    fn no_path(&self, (method, path): &(String, String)) -> String {
        let mut paths: Vec<&(String, String)> = self.fixtures.keys().collect();
        paths.sort();
        let same = paths.iter().filter(|(_, known)| known == path).map(|(method, _)| method);
        let same: Vec<&str> = same.map(String::as_str).collect();
        if !same.is_empty() {
            return format!("`{path}` was recorded with {}, not with {method}", same.join(", "));
        }
        let all: Vec<String> = paths.iter().take(10).map(|(m, p)| format!("{m} {p}")).collect();
        let more = if paths.len() > all.len() { " …" } else { "" };
        format!("the recording has only: {}{more}", all.join(", "))
    }

    fn missed(&self, (method, path): &(String, String), why: String) -> String {
        let title: String = format!("{method} {path}").chars().take(TITLE_MAX).collect();
        let mut told = self.told.lock();
        told.missed_count += 1;
        told.missed.push_back(json!({"request": title, "why": why}));
        if told.missed.len() > MISSED_MAX {
            told.missed.pop_front();
        }
        why
    }

    /// What was played how often, and what was asked for in vain.
    pub(super) fn told(&self) -> Value {
        let told = self.told.lock();
        let mut all: Vec<(u64, &(String, String))> = self
            .fixtures
            .iter()
            .flat_map(|(key, list)| list.iter().map(move |fixture| (fixture.number, key)))
            .collect();
        all.sort_unstable();
        let played = |number: u64| told.played.get(&number).copied().unwrap_or_default();
        let exchanges: Vec<Value> = all
            .iter()
            .map(|(number, (method, path))| {
                json!({"number": number, "request": format!("{method} {path}"),
                       "played": played(*number)})
            })
            .collect();
        let unplayed = all.iter().filter(|(number, _)| played(*number) == 0).count();
        json!({"exchanges": exchanges, "unplayed": unplayed, "missed": told.missed_count,
               "last_missed": told.missed})
    }
}

fn fixture(exchange: &Exchange) -> Result<((String, String), Fixture), &'static str> {
    let Some(head) = exchange.ask.as_ref().filter(|_| exchange.kind == Kind::Http) else {
        return Err("it is no HTTP request");
    };
    if !exchange.asked.is_whole() || !exchange.answered.is_whole() {
        return Err("it was too long to be kept whole");
    }
    if exchange.ending == Ending::CutByCaller {
        return Err("its caller left before the answer was over");
    }
    if exchange.ending == Ending::Open {
        return Err("it was not over");
    }
    let spoken = Spoken::of(exchange).ok_or("it has no answer")?;
    let body = exchange.ask_body();
    let number = exchange.number;
    Ok((key(head), Fixture { number, said: said(&body), body, spoken: Arc::new(spoken) }))
}

fn key(head: &Head) -> (String, String) {
    // Some callers write the whole address into the first line.
    let path = head.path();
    let path = match path.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').and_then(|place| rest.get(place..)).unwrap_or("/")
        }
        _ => path,
    };
    (head.method().to_owned(), redact::path(path))
}

/// A body as it is compared: a recording has no secrets, and so neither has what is compared.
fn said(body: &[u8]) -> Said {
    let Ok(text) = std::str::from_utf8(body) else { return Said::Bytes(body.to_vec()) };
    let shown = redact::text(text);
    match serde_json::from_str(&shown) {
        Ok(value) => Said::Json(value),
        Err(_) => Said::Bytes(shown.into_bytes()),
    }
}

fn nearest(known: &[Fixture], body: &[u8]) -> String {
    let found = known
        .iter()
        .map(|fixture| (fixture.number, differing(&fixture.body, body)))
        .min_by_key(|(_, all)| all.len());
    match found {
        Some((number, all)) => {
            let first = all.first().map_or_else(String::new, |one| {
                let text = |value: &Option<String>| value.clone().unwrap_or("nothing".to_owned());
                let (there, here) = (text(&one.first), text(&one.second));
                format!(", first `{}`: {there} there, {here} here", one.place)
            });
            format!("the nearest is exchange {number}, which differs in {}{first}", all.len())
        }
        None => "nothing was recorded".to_owned(),
    }
}

/// The body of a request without its framing and packing.
pub(super) fn payload(head: &Head, framing: Framing, raw: &[u8]) -> Vec<u8> {
    crate::capture::unpacked(Some(head), framing.payload(raw)).0
}
