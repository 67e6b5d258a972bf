//! Passing a log on: its ranges, signed for whoever holds the token of a share.

use std::sync::Arc;

use storage::Durability;
use storage::rusqlite::Connection;
use wire::{Code, Fault};

use super::{Contexts, Inner};
use crate::mount::{RANGE_ENTRIES_MAX, Signer, admit_nonce};
use crate::rows::audit::hex;
use crate::rows::{ctx, mounts, ranges};
use crate::{Key, LogRange, Passed, Share, Statement, clock, refuse, vault};

/// Limit: bytes of one range beside its last entry.
const RANGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Where the seed of the signing key is sealed.
const PLACE: &str = "signer/1";

impl Contexts {
    /// Entries of the context that a token opens, behind entry `after`, with the proof of them. A
    /// turn that runs, or that can be retried, is left out.
    ///
    /// # Errors
    /// `unauthorized`, `not_found` when the context was erased, both with a signed `refusal` among
    /// the details; `invalid_input` for a nonce or a limit that is none, `storage_error`.
    pub async fn signed_range(
        &self,
        token: &str,
        (after, limit): (u32, u32),
        nonce: &str,
    ) -> Result<LogRange, Fault> {
        admit_nonce(nonce)?;
        if !(1..=RANGE_ENTRIES_MAX).contains(&limit) {
            return Err(refuse::invalid("limit", "must be a number from 1 to 500"));
        }
        let signer = self.signer().await?;
        let (key, share) = match self.opened_by(token).await {
            Ok(opened) => opened,
            Err(fault) => return Err(refused(&signer, fault, (token, nonce), "no_share")),
        };
        let inner = Arc::clone(&self.inner);
        let wanted = (key, share, (after, limit));
        let generation = inner.marks.generation();
        let found = self.read(move |c| range(c, &inner, wanted, generation)).await;
        let (mut statement, entries) = match found {
            Ok(found) => found,
            Err(fault) if is_erased(&fault) => {
                return Err(refused(&signer, fault, (token, nonce), "erased"));
            }
            Err(fault) => return Err(fault),
        };
        nonce.clone_into(&mut statement.nonce);
        Ok(LogRange { signed: signer.sign(&statement)?, entries })
    }

    /// The public key that proves this store's ranges.
    ///
    /// # Errors
    /// `configuration_error` without a vault, `storage_error`.
    pub async fn signing_key(&self) -> Result<String, Fault> {
        Ok(self.signer().await?.public())
    }

    async fn signer(&self) -> Result<Arc<Signer>, Fault> {
        if let Some(signer) = self.inner.signer.get() {
            return Ok(Arc::clone(signer));
        }
        let vault = Arc::clone(self.vault()?);
        let sealed = match self.db.read(mounts::seed).await? {
            Some(sealed) => sealed,
            None => {
                let fresh = vault.seal(PLACE, &vault::fresh_key()?)?;
                let make = move |job: &super::Job<'_>| {
                    mounts::keep_seed(job.connection, &fresh, job.now)?;
                    mounts::seed(job.connection)
                };
                let kept = self.write(Durability::Sync, make).await?;
                kept.ok_or_else(|| Fault::internal("the key that signs ranges was not kept"))?
            }
        };
        let seed = vault.open(PLACE, &sealed)?.ok_or_else(|| {
            Fault::new(Code::ConfigurationError, "the master key does not open the signing key")
                .hint("put back the `vault.key` or `contexts.vault_key` of this store")
        })?;
        let signer = Arc::new(Signer::new(&seed)?);
        Ok(Arc::clone(self.inner.signer.get_or_init(|| signer)))
    }
}

fn is_erased(fault: &Fault) -> bool {
    let reason = fault.detail_values().and_then(|details| details.get("reason"));
    reason.and_then(|reason| reason.as_str()) == Some("erased")
}

/// The fault with a signed word that this token opens nothing: only that lets a reader forget.
fn refused(signer: &Signer, fault: Fault, (token, nonce): (&str, &str), reason: &str) -> Fault {
    // A reader forgets what it has: nothing that may pass is signed.
    if fault.code() != Code::Unauthorized && !is_erased(&fault) {
        return fault;
    }
    let statement = Statement {
        reason: Some(reason.to_owned()),
        ..said("refusal", nonce, hex(blake3::hash(token.as_bytes()).as_bytes()))
    };
    let Ok(signed) = signer.sign(&statement) else { return fault };
    fault.details(serde_json::json!({"reason": reason, "refusal": signed}))
}

fn said(about: &str, nonce: &str, context: String) -> Statement {
    Statement {
        about: about.to_owned(),
        nonce: nonce.to_owned(),
        at: clock::now(),
        context,
        reason: None,
        created: 0,
        title: None,
        expires: None,
        first: 0,
        last: 0,
        head: 0,
        before: String::new(),
        after: String::new(),
    }
}

fn range(
    connection: &Connection,
    inner: &Inner,
    (key, share, (after, limit)): (Key, Share, (u32, u32)),
    generation: u64,
) -> Result<(Statement, Vec<Passed>), Fault> {
    let row = ctx::live(connection, &key, clock::now())?;
    let settled = ranges::settled(connection, &row)?;
    let head = share.upto.map_or(settled, |upto| upto.min(settled));
    // Behind the end there is nothing to prove; the reader sees that it has more than there is.
    let after = after.min(head);
    let marks = (&inner.marks, generation);
    let before = ranges::chain(connection, &row, marks, after)?;
    let (mut link, mut entries, mut held) = (before, Vec::new(), 0_usize);
    let last = head.min(after.saturating_add(limit));
    if last > after {
        ranges::each(connection, &row, (after.saturating_add(1), last), |passed| {
            held = held.saturating_add(passed.body.len());
            link = passed.chained(&link);
            entries.push(passed);
            Ok(held < RANGE_BYTES_MAX)
        })?;
    }
    let last = entries.last().map_or(after, |entry| entry.seq);
    let end = share.expires_at.map(|at| at.as_microsecond());
    let statement = Statement {
        created: row.created,
        title: row.title.clone(),
        expires: [row.expires, end].into_iter().flatten().min(),
        first: after.saturating_add(1),
        last,
        head,
        before: hex(&before),
        after: hex(&link),
        ..said("range", "", row.key.id.to_string())
    };
    Ok((statement, entries))
}
