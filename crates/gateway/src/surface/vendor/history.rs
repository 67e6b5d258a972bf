//! A history that a client sends again: what of it is kept already, and where it goes on.
//!
//! Clients without memory send the whole conversation with every call. It is compared with what is
//! kept by what it says, not by its bytes: the same message reads the same in every dialect.
//! What is kept already is not stored twice; a history that was changed goes on in a fork.

use std::ops::Range;

use context::{EntryStatus, Filter, Key, New, Slice};
use serde_json::Value;
use wire::prompt::{Block, Media, Message, Role, Source};
use wire::{Code, Fault};

use super::rounds::{Rounds, Said};
use crate::gate::Gateway;

/// Limit: forks of one conversation, the newest, among which a changed history is looked for.
const FORKS_MAX: u32 = 16;
/// Entries that are read at once.
const PAGE: u32 = 500;
/// What stands between the id of a conversation and the mark of its fork.
const MARK: char = '~';
/// Letters of a fork's mark.
const MARK_LETTERS: usize = 8;
/// The revision that no context has.
const NO_REVISION: u64 = u64::MAX;

/// Where the messages of a call go.
#[derive(Debug)]
pub(super) struct Place {
    /// The conversation, or the fork of it.
    pub(super) key: Key,
    /// The messages that are new, the last one of the call included.
    pub(super) new: Range<usize>,
    /// The revision at which this holds; nothing where it holds at any.
    pub(super) revision: Option<u64>,
    /// Nothing is new but the idempotency key may know the answer.
    pub(super) is_repeat: bool,
}

/// Finds where the messages of a call go; the last of them is always new.
///
/// Messages none of which is the model's are new, all of them: a caller who leaves the history to
/// us sends no others.
pub(super) async fn place(
    gate: &Gateway,
    key: &Key,
    messages: &[Message],
    may_repeat: bool,
) -> Result<Place, Fault> {
    let all = 0..messages.len();
    if messages.iter().all(|message| message.role != Role::Assistant) {
        return Ok(Place { key: key.clone(), new: all, revision: None, is_repeat: false });
    }
    let sent = Told::of(messages.iter());
    let Some(log) = read(gate, key).await? else {
        let new = New { id: Some(key.id.to_string()), ..New::default() };
        let made = gate.contexts().create(key.tenant, new).await;
        let revision = match made {
            Ok(made) => made.revision,
            // Somebody else was faster: whoever asks next sees what came of it.
            Err(fault) if fault.code() == Code::Conflict => NO_REVISION,
            Err(fault) => return Err(fault),
        };
        let key = key.clone();
        return Ok(Place { key, new: all, revision: Some(revision), is_repeat: false });
    };
    if may_repeat && log.told.answers(&sent) {
        let (key, revision) = (key.clone(), Some(NO_REVISION));
        let new = messages.len().saturating_sub(1)..messages.len();
        return Ok(Place { key, new, revision, is_repeat: true });
    }
    if let Some(from) = log.told.goes_on(&sent) {
        let (key, revision) = (key.clone(), Some(log.revision));
        return Ok(Place { key, new: from..messages.len(), revision, is_repeat: false });
    }
    elsewhere(gate, (key, log), &sent).await
}

/// A history that is not the one that is kept: a fork that holds it, or a new one.
async fn elsewhere(gate: &Gateway, (key, log): (&Key, Log), sent: &Told) -> Result<Place, Fault> {
    let root = root(&key.id);
    let mut best = (key.clone(), log.told.shared(sent));
    let mut ids = vec![root.to_owned()];
    let filter =
        Filter { id_prefix: Some(format!("{root}{MARK}")), limit: FORKS_MAX, ..Filter::default() };
    let family = gate.contexts().list(key.tenant, filter).await?;
    ids.extend(family.items.into_iter().map(|found| found.id.to_string()));
    let mut found: Option<(usize, Place)> = None;
    for id in ids.into_iter().filter(|id| id.as_str() != &*key.id) {
        let Ok(other) = Key::new(key.tenant, &id) else { continue };
        let Some(log) = read(gate, &other).await? else { continue };
        let shared = log.told.shared(sent);
        if let Some(from) = log.told.goes_on(sent)
            && from > 0
            && found.as_ref().is_none_or(|(most, _)| shared.units > *most)
        {
            let new = from..sent.messages();
            let revision = Some(log.revision);
            let place = Place { key: other.clone(), new, revision, is_repeat: false };
            found = Some((shared.units, place));
        }
        if shared.units > best.1.units {
            best = (other, shared);
        }
    }
    if let Some((_, place)) = found {
        return Ok(place);
    }
    let (parent, shared) = best;
    let mark = uuid::Uuid::new_v4().simple().to_string();
    let mark = mark.get(..MARK_LETTERS).unwrap_or_default();
    let id = Some(format!("{root}{MARK}{mark}"));
    let new = New { id, ..New::default() };
    let fork = gate.contexts().fork(&parent, Some(shared.seq.into()), new).await?;
    let key = Key::new(key.tenant, &fork.id)?;
    let (new, revision) = (shared.message..sent.messages(), Some(fork.revision));
    Ok(Place { key, new, revision, is_repeat: false })
}

/// The conversation that a fork of a history belongs to.
fn root(id: &str) -> &str {
    let is_mark = |mark: &str| {
        mark.len() == MARK_LETTERS && mark.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    match id.rsplit_once(MARK) {
        Some((root, mark)) if is_mark(mark) && !root.is_empty() => root,
        _ => id,
    }
}

/// What is kept of a conversation.
struct Log {
    revision: u64,
    told: Told,
}

/// Reads a log; nothing for one that is not there.
async fn read(gate: &Gateway, key: &Key) -> Result<Option<Log>, Fault> {
    let contexts = gate.contexts();
    let found = match contexts.get(key).await {
        Ok(found) => found,
        Err(fault) if matches!(fault.code(), Code::ContextNotFound | Code::ContextExpired) => {
            return Ok(None);
        }
        Err(fault) => return Err(fault),
    };
    // Read after the revision: what comes in between makes the revision old, never the log.
    let mut told = Told::default();
    let mut rounds = Rounds::default();
    let mut after = None;
    loop {
        let slice = Slice { limit: PAGE, after, ..Slice::default() };
        let page = contexts.messages(key, slice).await?;
        for entry in page.items.iter().filter(|entry| entry.status == EntryStatus::Complete) {
            rounds.take(entry, |said| told.say(&said));
        }
        match (page.next, page.items.last()) {
            (Some(_), Some(last)) => after = Some(last.seq),
            _ => {
                rounds.end().into_iter().for_each(|said| told.say(&said));
                return Ok(Some(Log { revision: found.revision, told }));
            }
        }
    }
}

/// A conversation as a list of what was said, each part by its hash.
#[derive(Default)]
struct Told {
    units: Vec<Unit>,
    /// Where each message ends in `units`, with its number in the log.
    ends: Vec<(usize, u32)>,
}

/// How far two conversations are the same.
#[derive(Clone, Copy)]
struct Shared {
    units: usize,
    /// The last entry of the kept one that is the same; 0 for none.
    seq: u32,
    /// The first message of the sent one that is not.
    message: usize,
}

#[derive(Clone, Copy)]
struct Unit {
    hash: [u8; 16],
    /// The same with what was said in earlier rounds of the reply.
    whole: Option<[u8; 16]>,
    /// The model said it.
    is_model: bool,
}

impl PartialEq for Unit {
    /// What was sent has one form; what is kept may have two.
    fn eq(&self, other: &Self) -> bool {
        let same = self.hash == other.hash
            || self.whole == Some(other.hash)
            || other.whole == Some(self.hash);
        same && self.is_model == other.is_model
    }
}

impl Told {
    fn of<'m>(messages: impl Iterator<Item = &'m Message>) -> Self {
        let mut told = Self::default();
        for message in messages {
            told.push(message, 0);
        }
        told
    }

    fn push(&mut self, message: &Message, seq: u32) {
        let is_model = message.role == Role::Assistant;
        each_unit(message, &mut |hash| self.units.push(Unit { hash, whole: None, is_model }));
        self.ends.push((self.units.len(), seq));
    }

    /// Adds what is kept of a message, as its caller was told it.
    fn say(&mut self, said: &Said) {
        let from = self.units.len();
        self.push(&said.message, said.seq);
        let text = said.message.plain();
        if said.before.is_empty() || text.trim().is_empty() {
            return;
        }
        let alone = text_hash("model", &text);
        let whole = text_hash("model", &format!("{}{text}", said.before));
        let units = self.units.iter_mut().skip(from);
        for unit in units.filter(|unit| unit.hash == alone) {
            unit.whole = Some(whole);
        }
    }

    fn messages(&self) -> usize {
        self.ends.len()
    }

    /// Messages that end at or before this unit.
    fn whole(&self, units: usize) -> usize {
        self.ends.iter().take_while(|(end, _)| *end <= units).count()
    }

    /// Where a message ends, by the number of messages up to it.
    fn end(&self, messages: usize) -> usize {
        messages.checked_sub(1).and_then(|at| self.ends.get(at)).map_or(0, |(end, _)| *end)
    }

    /// The number in the log of the last of so many messages.
    fn seq(&self, messages: usize) -> u32 {
        messages.checked_sub(1).and_then(|at| self.ends.get(at)).map_or(0, |(_, seq)| *seq)
    }

    /// How far `sent` is what is kept, in whole messages of both; its last one is always new.
    fn shared(&self, sent: &Self) -> Shared {
        let earlier = sent.end(sent.messages().saturating_sub(1));
        let pairs = self.units.iter().zip(sent.units.iter().take(earlier));
        let mut units = pairs.take_while(|(kept, sent)| kept == sent).count();
        loop {
            let (kept, messages) = (self.whole(units), sent.whole(units));
            let both = self.end(kept).min(sent.end(messages));
            if both == units || units == 0 {
                let message = messages.min(sent.messages().saturating_sub(1));
                return Shared { units, seq: self.seq(kept), message };
            }
            units = both;
        }
    }

    /// The first new message of `sent`, where it goes on with all that is kept: it begins with the
    /// whole of it, or with the end of it, for a client that leaves out what is old.
    fn goes_on(&self, sent: &Self) -> Option<usize> {
        let shared = self.shared(sent);
        if shared.units == self.units.len() {
            return Some(shared.message);
        }
        if shared.units > 0 {
            return None;
        }
        let overlap = self.overlap(sent);
        let has_model = sent.units.iter().take(overlap).any(|unit| unit.is_model);
        let at = sent.whole(overlap);
        let is_whole = sent.end(at) == overlap && at < sent.messages();
        (has_model && is_whole).then_some(at)
    }

    /// The length of the longest end of what is kept that `sent` begins with.
    fn overlap(&self, sent: &Self) -> usize {
        let earlier = sent.end(sent.messages().saturating_sub(1));
        let pattern = sent.units.get(..earlier).unwrap_or_default();
        let mut borders: Vec<usize> = Vec::with_capacity(pattern.len());
        for at in 0..pattern.len() {
            let mut length = at.checked_sub(1).and_then(|b| borders.get(b)).copied().unwrap_or(0);
            while length > 0 && pattern.get(length) != pattern.get(at) {
                length = borders.get(length - 1).copied().unwrap_or(0);
            }
            let grows = at > 0 && pattern.get(length) == pattern.get(at);
            borders.push(if grows { length + 1 } else { length });
        }
        let mut length = 0;
        for unit in &self.units {
            while length > 0 && pattern.get(length) != Some(unit) {
                length = borders.get(length - 1).copied().unwrap_or(0);
            }
            if pattern.get(length) == Some(unit) {
                length += 1;
            }
        }
        length
    }

    /// Whether what is kept is all that was sent and the answer to it, nothing more.
    fn answers(&self, sent: &Self) -> bool {
        let asked = sent.units.len();
        self.units.get(..asked) == Some(sent.units.as_slice())
            && self.units.len() > asked
            && self.units.iter().skip(asked).all(|unit| unit.is_model)
    }
}

/// Hands out the hashes of what a message says, in an order that all dialects agree on: results,
/// text, media, calls. Thoughts and blocks of one dialect alone do not count.
fn each_unit(message: &Message, out: &mut impl FnMut([u8; 16])) {
    let role = match message.role {
        Role::Assistant => "model",
        Role::System => "system",
        Role::User | Role::Tool => "user",
    };
    for block in &message.blocks {
        if let Block::ToolResult { content, .. } = block {
            out(hash(&["result", content.trim()]));
        }
    }
    let text = message.plain();
    if !text.trim().is_empty() {
        out(text_hash(role, &text));
    }
    for block in &message.blocks {
        match block {
            Block::Image(media) | Block::Document(media) | Block::Audio(media) => {
                out(of_media(media));
            }
            _ => {}
        }
    }
    for block in &message.blocks {
        if let Block::ToolUse { name, input, .. } = block {
            out(hash(&["call", name, &settled(input.get())]));
        }
    }
}

fn text_hash(role: &str, text: &str) -> [u8; 16] {
    hash(&["text", role, text.trim()])
}

fn of_media(media: &Media) -> [u8; 16] {
    match &media.source {
        Source::Text(text) => hash(&["media", "text", text]),
        Source::Data { data, .. } => hash(&["media", "data", data]),
        Source::Url(url) => hash(&["media", "url", url]),
        Source::File(id) => hash(&["media", "file", id]),
    }
}

/// JSON with its keys in order, so that the same arguments are the same text.
fn settled(json: &str) -> String {
    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut pairs: Vec<_> = map.into_iter().collect();
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(pairs.into_iter().map(|(k, v)| (k, sorted(v))).collect())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
            other => other,
        }
    }
    match serde_json::from_str::<Value>(json) {
        Ok(Value::Null) | Err(_) if json.trim().is_empty() || json.trim() == "null" => "{}".into(),
        Ok(value) => sorted(value).to_string(),
        Err(_) => json.trim().to_owned(),
    }
}

fn hash(parts: &[&str]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    let mut short = [0; 16];
    short.copy_from_slice(hasher.finalize().as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `u:` and `a:` are the two that talk; the number in the log is the place, from 1.
    fn told(lines: &[&str]) -> Told {
        let mut told = Told::default();
        for (at, line) in lines.iter().enumerate() {
            let (who, text) = line.split_once(':').unwrap();
            let role = if who == "a" { Role::Assistant } else { Role::User };
            told.push(&Message::text(role, text), u32::try_from(at + 1).unwrap());
        }
        told
    }

    #[track_caller]
    fn check(kept: &[&str], sent: &[&str], goes_on: Option<usize>, fork_at: u32) {
        let (kept, sent) = (told(kept), told(sent));
        assert_eq!(kept.goes_on(&sent), goes_on);
        assert_eq!(kept.shared(&sent).seq, fork_at);
    }

    #[test]
    fn only_what_is_new_of_a_history_is_new() {
        check(&[], &["u:1", "a:1", "u:2"], Some(0), 0);
        check(&["u:1", "a:1"], &["u:1", "a:1", "u:2"], Some(2), 2);
        check(&["u:1", "a:1"], &["u:1", "a:1", "u:2", "a:2", "u:3"], Some(2), 2);
        // Asked again, changed at the end, changed at the beginning.
        check(&["u:1", "a:1", "u:2", "a:2"], &["u:1", "a:1", "u:2"], None, 2);
        check(&["u:1", "a:1", "u:2", "a:2"], &["u:1", "a:1", "u:x", "a:2", "u:3"], None, 2);
        check(&["u:1", "a:1"], &["u:x", "a:1", "u:2"], None, 0);
        // The client left out what is old.
        let long = ["u:1", "a:1", "u:2", "a:2", "u:3", "a:3"];
        check(&long, &["u:3", "a:3", "u:4"], Some(2), 0);
        check(&long, &["a:2", "u:3", "a:3", "u:4"], Some(3), 0);
        check(&long, &["u:2", "a:2", "u:4"], None, 0);
        // A question whose answer never came.
        check(&["u:1", "a:1"], &["u:1", "a:1", "u:2", "u:2"], Some(2), 2);
    }

    #[test]
    fn an_answered_history_is_known_as_such() {
        let kept = told(&["u:1", "a:1", "u:2", "a:2"]);
        assert!(kept.answers(&told(&["u:1", "a:1", "u:2"])));
        assert!(!kept.answers(&told(&["u:1"])));
        assert!(!kept.answers(&told(&["u:1", "a:1", "u:2", "a:2"])));
    }

    #[test]
    fn the_mark_of_a_fork_is_taken_off() {
        assert_eq!(root("a~0123abcd"), "a");
        assert_eq!(root("a~b"), "a~b");
        assert_eq!(root("~0123abcd"), "~0123abcd");
    }

    #[test]
    fn the_same_said_in_two_dialects_is_the_same() {
        let anthropic = r#"{"model":"m","max_tokens":1,"messages":[
            {"role":"user","content":[{"type":"text","text":"weather?"}]},
            {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},
              {"type":"text","text":"I look."},
              {"type":"tool_use","id":"x","name":"look","input":{"a":1,"b":{"d":2,"c":3}}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"x","content":"28"},
              {"type":"text","text":"and?"}]}]}"#;
        let openai = r#"{"model":"m","messages":[
            {"role":"user","content":"weather?"},
            {"role":"assistant","content":"I look. ","tool_calls":[{"id":"y","type":"function",
              "function":{"name":"look","arguments":"{\"b\": {\"c\":3,\"d\":2}, \"a\":1}"}}]},
            {"role":"tool","tool_call_id":"y","content":"28"},
            {"role":"user","content":"and?"}]}"#;
        let read = |name: &str, body: &str| {
            let asked = wire::dialect::named(name)
                .unwrap()
                .request(&bytes::Bytes::copy_from_slice(body.as_bytes()))
                .unwrap();
            Told::of(asked.prompt.messages.iter())
        };
        let (one, two) = (read("anthropic", anthropic), read("openai_chat", openai));
        assert_eq!(one.units.len(), 5);
        assert!(one.units == two.units);
    }
}
