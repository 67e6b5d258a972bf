//! Ranges of a log, signed by the server that keeps it, and what is known of a mounted log here.
//!
//! The entries of a log are chained by their hashes, from its id and its birth on. A statement
//! names a range, the chain before it and the chain behind it, and is signed with the server's key
//! (Ed25519): one statement proves all entries up to its last.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wire::{Code, Fault};

use crate::rows::audit::hex;

/// Limit: entries of one range.
pub const RANGE_ENTRIES_MAX: u32 = 500;
/// What a signature is over, before the statement itself.
const DOMAIN: &[u8] = b"rapport statement 1\n";
/// What public keys begin with.
const PREFIX: &str = "ed25519:";
/// Characters of a public key: its prefix and two for each byte.
const KEY_CHARACTERS: usize = 8 + 64;
/// Limit: characters of a nonce.
const NONCE_CHARACTERS_MAX: usize = 128;
/// The roles and statuses by their number in the table.
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];
const STATUSES: [&str; 3] = ["complete", "failed", "partial"];

/// A hash of the chain.
pub(crate) type Link = [u8; 32];

/// An entry as it passes from server to server, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Its number.
    pub seq: u32,
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// `complete`, `failed` or `partial`.
    pub status: String,
    /// When it was stored, in microseconds since 1970.
    pub at: i64,
    /// The model that wrote it.
    pub model: Option<String>,
    /// The dialect of its body; plain text without.
    pub dialect: Option<String>,
    /// What was noted with it: a JSON object as text.
    pub meta: Option<String>,
    /// What is said.
    pub body: String,
}

impl Passed {
    pub(crate) fn role_name(number: i64) -> String {
        let name = usize::try_from(number).ok().and_then(|at| ROLES.get(at));
        (*name.unwrap_or(&"user")).to_owned()
    }

    /// The status by its number; `None` for one that still changes.
    pub(crate) fn status_name(number: i64) -> Option<String> {
        usize::try_from(number).ok().and_then(|at| STATUSES.get(at)).map(|name| (*name).to_owned())
    }

    /// The numbers of role and status; `None` for words that are none.
    pub(crate) fn numbers(&self) -> Option<(u8, u8)> {
        let place = |words: &[&str], word: &str| {
            words.iter().position(|known| *known == word).and_then(|at| u8::try_from(at).ok())
        };
        Some((place(&ROLES, &self.role)?, place(&STATUSES, &self.status)?))
    }

    /// The chain behind this entry.
    pub(crate) fn chained(&self, before: &Link) -> Link {
        let mut hasher = blake3::Hasher::new();
        hasher.update(before);
        hasher.update(&self.seq.to_le_bytes());
        let (role, status) = self.numbers().unwrap_or((u8::MAX, u8::MAX));
        hasher.update(&[role, status]);
        hasher.update(&self.at.to_le_bytes());
        for part in [&self.model, &self.dialect, &self.meta] {
            field(&mut hasher, part.as_deref());
        }
        field(&mut hasher, Some(&self.body));
        *hasher.finalize().as_bytes()
    }

    /// Whether the two differ in what a redaction changes only, and this one says it was redacted.
    pub(crate) fn is_redacted(&self, other: &Self) -> bool {
        let bare = |of: &Self| Self { meta: None, body: String::new(), ..of.clone() };
        let meta = self.meta.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let marked = meta.is_some_and(|meta: crate::Map| meta.contains_key("redacted"));
        marked && bare(self) == bare(other)
    }
}

/// A text with its length, so that no two lists of fields read alike.
fn field(hasher: &mut blake3::Hasher, text: Option<&str>) {
    let length = text.map_or(u64::MAX, |text| text.len() as u64);
    hasher.update(&length.to_le_bytes());
    hasher.update(text.unwrap_or_default().as_bytes());
}

/// The chain before the first entry of a log.
pub(crate) fn beginning(id: &str, created: i64) -> Link {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"rapport log 1\n");
    field(&mut hasher, Some(id));
    hasher.update(&created.to_le_bytes());
    *hasher.finalize().as_bytes()
}

/// What a server says of a log of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// `range`, or `refusal` of a token that opens nothing any more.
    pub about: String,
    /// What the asker sent, so that nothing old can be told again.
    pub nonce: String,
    /// When it was said, in microseconds since 1970.
    pub at: i64,
    /// The context, by its id over there; of a refusal the BLAKE3 hash of the token.
    pub context: String,
    /// Why it is refused: `no_share` or `erased`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the context was made.
    #[serde(default)]
    pub created: i64,
    /// Its title.
    #[serde(default)]
    pub title: Option<String>,
    /// When it, or the share, ends.
    #[serde(default)]
    pub expires: Option<i64>,
    /// The first entry of the range.
    #[serde(default)]
    pub first: u32,
    /// Its last one; one less than the first when it is empty.
    #[serde(default)]
    pub last: u32,
    /// The newest entry that may be read.
    #[serde(default)]
    pub head: u32,
    /// The chain before the first entry, in hexadecimal digits.
    #[serde(default)]
    pub before: String,
    /// The chain behind the last one.
    #[serde(default)]
    pub after: String,
}

/// A statement with its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The statement: JSON, the very text that was signed.
    pub statement: String,
    /// Ed25519 over it, in hexadecimal digits.
    pub signature: String,
    /// Whose: `ed25519:` and 64 hexadecimal digits.
    pub key: String,
}

/// A range of a log with the proof that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRange {
    /// The proof.
    #[serde(flatten)]
    pub signed: Signed,
    /// The entries.
    pub entries: Vec<Passed>,
}

impl Signed {
    /// Reads the statement, if the pinned key signed it for this nonce.
    ///
    /// # Errors
    /// `upstream_invalid`, saying what cannot be believed.
    pub fn open(&self, pinned: &str, nonce: &str) -> Result<Statement, Fault> {
        if self.key != pinned {
            let key: String = self.key.chars().take(KEY_CHARACTERS).collect();
            let text =
                format!("it is signed by `{}`, the pinned key is `{pinned}`", key.escape_debug());
            return Err(unbelievable(&text, "another_key"));
        }
        let statement = self.proven()?;
        if statement.nonce != nonce {
            return Err(unbelievable("it answers another request than ours", "replayed"));
        }
        Ok(statement)
    }

    /// Reads the statement, if the key it names signed it.
    pub(crate) fn proven(&self) -> Result<Statement, Fault> {
        let key = read_key(&self.key)?;
        let signature = unhex(&self.signature).unwrap_or_default();
        let mut message = DOMAIN.to_vec();
        message.extend_from_slice(self.statement.as_bytes());
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&message, &signature)
            .map_err(|_wrong| unbelievable("its signature is not the key's", "signature"))?;
        serde_json::from_str(&self.statement).map_err(|error| {
            unbelievable("its statement cannot be read", "statement").because(error)
        })
    }
}

/// Reads a public key.
///
/// # Errors
/// `invalid_input` for a text that is none.
pub fn read_key(text: &str) -> Result<Link, Fault> {
    let bytes = text.strip_prefix(PREFIX).and_then(unhex);
    bytes.and_then(|bytes| Link::try_from(bytes).ok()).ok_or_else(|| {
        let text = format!("`{}` is no key of a server", text.escape_debug());
        Fault::new(Code::InvalidInput, text)
            .hint(
                "it looks like `ed25519:` and 64 hexadecimal digits; leave it out to pin the first",
            )
            .details(json!({"field": "key"}))
    })
}

/// Something that came from another server cannot be believed.
pub(crate) fn unbelievable(what: &str, reason: &str) -> Fault {
    Fault::new(Code::UpstreamInvalid, format!("what the other server sent is refused: {what}"))
        .hint("nothing of it was stored; somebody on the way may have changed it")
        .details(json!({"reason": reason}))
}

/// Signs for this store.
pub(crate) struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    pub(crate) fn new(seed: &[u8]) -> Result<Self, Fault> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        pair.map(Self).map_err(|_seed| Fault::internal("the key that signs ranges is none"))
    }

    /// The public key, as others pin it.
    pub(crate) fn public(&self) -> String {
        format!("{PREFIX}{}", hex(self.0.public_key().as_ref()))
    }

    pub(crate) fn sign(&self, statement: &Statement) -> Result<Signed, Fault> {
        let text = serde_json::to_string(statement)
            .map_err(|error| Fault::internal("a statement cannot be written").because(error))?;
        let mut message = DOMAIN.to_vec();
        message.extend_from_slice(text.as_bytes());
        let signature = hex(self.0.sign(&message).as_ref());
        Ok(Signed { statement: text, signature, key: self.public() })
    }
}

/// Reads hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Refuses what is no nonce.
pub(crate) fn admit_nonce(nonce: &str) -> Result<(), Fault> {
    let plain = nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !nonce.is_empty() && nonce.len() <= NONCE_CHARACTERS_MAX && plain {
        return Ok(());
    }
    let text = "`nonce` must have 1 to 128 letters, digits, `-` and `_`";
    Err(Fault::new(Code::InvalidInput, text)
        .hint("send a fresh random one with every request; it is signed with the answer")
        .details(json!({"field": "nonce"})))
}

/// How a mounted context stands to its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountState {
    /// The last contact brought everything there was.
    Current,
    /// More is there than was fetched yet.
    Behind,
    /// The origin did not answer, or not as it should: what is here is served.
    Offline,
    /// The origin answered what cannot be believed; what was proven before is served.
    Refused,
    /// The origin ended it; what was here is removed.
    Ended,
}

impl MountState {
    /// Every state with its number in the table and its name.
    const ALL: [(Self, i64, &'static str); 5] = [
        (Self::Current, 0, "current"),
        (Self::Behind, 1, "behind"),
        (Self::Offline, 2, "offline"),
        (Self::Refused, 3, "refused"),
        (Self::Ended, 4, "ended"),
    ];

    /// The state as it is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(state, ..)| *state == self).map_or("offline", |(.., name)| name)
    }

    pub(crate) fn number(self) -> i64 {
        Self::ALL.iter().find(|(state, ..)| *state == self).map_or(2, |(_, number, _)| *number)
    }

    pub(crate) fn of(number: i64) -> Self {
        let found = Self::ALL.iter().find(|(_, known, _)| *known == number);
        found.map_or(Self::Offline, |(state, ..)| *state)
    }
}

/// A context to be mounted.
#[derive(Clone)]
pub struct NewMount {
    /// Its id here; the one it has over there when absent.
    pub id: Option<String>,
    /// The other server.
    pub url: String,
    /// The token of a share.
    pub token: String,
    /// The other server's key, where it is known; else the first that answers is pinned.
    pub key: Option<String>,
}

impl std::fmt::Debug for NewMount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is a secret.
        let Self { id, url, token: _, key } = self;
        f.debug_struct("NewMount").field("id", id).field("url", url).field("key", key).finish()
    }
}

/// A context of another server that is mounted here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its id here.
    pub id: String,
    /// The other server.
    pub url: String,
    /// Its id over there.
    pub remote: String,
    /// The key that signs its ranges.
    pub key: String,
    /// When it was mounted.
    pub mounted_at: Timestamp,
    /// When the origin last proved what it said.
    pub checked_at: Timestamp,
    /// When it was last asked.
    pub tried_at: Timestamp,
    /// How it stands.
    pub state: MountState,
    /// Why it does not stand better.
    pub error: Option<String>,
    /// Failed contacts since the last good one.
    pub failures: u32,
    /// Entries that are here.
    pub messages: u32,
    /// Entries that the origin had at the last contact.
    pub head: u32,
}

/// What is needed to ask the origin of a mount.
#[derive(Clone)]
pub struct Errand {
    /// The other server.
    pub url: String,
    /// The token of the share.
    pub token: String,
    /// The pinned key.
    pub key: String,
    /// The newest entry that is here.
    pub have: u32,
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errand").field("url", &self.url).field("have", &self.have).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u32, body: &str) -> Passed {
        let text = str::to_owned;
        Passed {
            seq,
            role: text("user"),
            status: text("complete"),
            at: 5,
            model: None,
            dialect: None,
            meta: None,
            body: text(body),
        }
    }

    fn statement(nonce: &str) -> Statement {
        serde_json::from_value(json!({"about": "range", "nonce": nonce, "at": 1, "context": "c"}))
            .unwrap()
    }

    #[test]
    fn only_the_pinned_key_is_believed_and_only_for_this_request() {
        let (ours, other) = (Signer::new(&[1; 32]).unwrap(), Signer::new(&[2; 32]).unwrap());
        let signed = ours.sign(&statement("n1")).unwrap();
        assert_eq!(signed.open(&ours.public(), "n1").unwrap().context, "c");
        let why = |signed: &Signed, key: &str, nonce: &str| {
            let fault = signed.open(key, nonce).unwrap_err();
            fault.detail_values().unwrap()["reason"].as_str().unwrap().to_owned()
        };
        assert_eq!(why(&signed, &ours.public(), "n2"), "replayed");
        assert_eq!(why(&signed, &other.public(), "n1"), "another_key");
        let lied = Signed { key: other.public(), ..signed.clone() };
        assert_eq!(why(&lied, &other.public(), "n1"), "signature");
        let changed = signed.statement.replace("\"c\"", "\"d\"");
        let changed = Signed { statement: changed, ..signed };
        assert_eq!(why(&changed, &ours.public(), "n1"), "signature");
    }

    #[test]
    fn every_field_of_an_entry_is_in_the_chain() {
        let start = beginning("c", 7);
        assert_ne!(start, beginning("c", 8));
        assert_ne!(start, beginning("d", 7));
        let plain = entry(1, "hello");
        let mut seen = vec![plain.chained(&start)];
        let some = || Some("hello".to_owned());
        for other in [
            entry(2, "hello"),
            entry(1, "hallo"),
            Passed { role: "tool".into(), ..plain.clone() },
            Passed { status: "failed".into(), ..plain.clone() },
            Passed { at: 6, ..plain.clone() },
            Passed { model: some(), body: String::new(), ..plain.clone() },
            Passed { dialect: some(), body: String::new(), ..plain.clone() },
            Passed { meta: some(), body: String::new(), ..plain.clone() },
        ] {
            let link = other.chained(&start);
            assert!(!seen.contains(&link), "{other:?}");
            seen.push(link);
        }
    }

    #[test]
    fn a_redaction_is_told_from_another_past() {
        let before = entry(1, "my key is abc");
        let meta = Some(r#"{"redacted":{"key":1}}"#.to_owned());
        let after = Passed { body: "my key is [redacted: key]".into(), meta, ..before.clone() };
        assert!(after.is_redacted(&before));
        assert!(!before.is_redacted(&after));
        assert!(!Passed { at: 9, ..after.clone() }.is_redacted(&before));
        assert!(!entry(1, "other").is_redacted(&before));
    }

    #[test]
    fn keys_are_read_or_named() {
        let key = Signer::new(&[1; 32]).unwrap().public();
        assert_eq!(read_key(&key).unwrap().len(), 32);
        for wrong in ["", "ed25519:", "ed25519:zz", key.trim_end_matches(|c| c != ':'), "rsa:00"] {
            assert!(read_key(wrong).is_err(), "{wrong}");
        }
    }
}
