//! Turns: at once with an offline model, or in two steps around the call of an upstream model.

use std::sync::Arc;

use serde_json::{Value, json};
use storage::Durability;
use wire::Fault;
use wire::prompt::Role;
use wire::reply::Usage;

use super::beside::clean_map;
use super::{Contexts, Job, admit_contents, figures};
use crate::rows::chain;
use crate::rows::ctx::{self, Anchor, Row};
use crate::rows::entry::{self, Fresh};
use crate::rows::idem::{self, Answer, STATE_BYTES_MAX};
use crate::rows::{epochs, parts, seal};
use crate::{
    Begun, Content, Entry, EntryStatus, Idem, Key, LocalReply, Map, NewTurn, OpenTurn, Outcome,
    Step, Turn, View, What, refuse,
};

/// Growth of a window below which a provider's count says nothing about the estimate.
const LEARNED_TOKENS_MIN: u64 = 50;
/// The correction stays within these bounds (per mille), whatever a provider reports.
const SCALE_BOUNDS: (u64, u64) = (500, 2500);

impl Contexts {
    /// Answers a turn with an offline model: question and reply are one transaction.
    ///
    /// # Errors
    /// The model's own fault (nothing is stored then); `context_not_found` unless `create`;
    /// `context_expired`, `context_closed`, `precondition_failed`, `conflict` while another turn is
    /// running, `context_too_long`, `idempotency_mismatch`, `invalid_input`, `storage_error`.
    pub async fn answer_now(
        &self,
        turn: NewTurn,
        model: impl FnOnce(&mut View<'_>) -> Result<LocalReply, Fault> + Send + 'static,
    ) -> Result<Turn, Fault> {
        if turn.create {
            self.ready(turn.key.tenant).await?;
        }
        let durability = self.durability_for(&turn.key, turn.durability);
        let key = turn.key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::Answered, || job.answer_now(turn, model))
        })
        .await
    }

    /// Makes the user's message durable before an upstream model is called.
    ///
    /// # Errors
    /// As [`Contexts::answer_now`].
    pub async fn begin(&self, turn: NewTurn) -> Result<Begun, Fault> {
        if turn.create {
            self.ready(turn.key.tenant).await?;
        }
        let durability = self.durability_for(&turn.key, turn.durability);
        let key = turn.key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::Asked, || job.begin(turn, durability))
        })
        .await
    }

    /// Opens the newest turn again, if it has failed.
    ///
    /// # Errors
    /// `conflict` when it has not failed or another turn is running; otherwise as
    /// [`Contexts::begin`].
    pub async fn reopen(&self, key: &Key) -> Result<OpenTurn, Fault> {
        let durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::Asked, || job.reopen(&key, durability))
        })
        .await
    }

    /// Makes the reply durable and ends the turn.
    ///
    /// # Errors
    /// `conflict` when the turn is no longer open, `context_not_found` when its context was
    /// deleted, `storage_error`.
    pub async fn finish(&self, open: &OpenTurn, outcome: Outcome) -> Result<Turn, Fault> {
        let open = open.clone();
        self.write(open.durability, move |job| {
            job.watched(&open.key, What::Answered, || job.finish(&open, &outcome, None))
        })
        .await
    }

    /// As [`Contexts::finish`], and keeps what was sent in the history of epochs.
    ///
    /// # Errors
    /// As [`Contexts::finish`].
    pub async fn finish_step(
        &self,
        open: &OpenTurn,
        outcome: Outcome,
        step: Step,
    ) -> Result<Turn, Fault> {
        let open = open.clone();
        self.write(open.durability, move |job| {
            job.watched(&open.key, What::Answered, || job.finish(&open, &outcome, Some(&step)))
        })
        .await
    }

    /// Ends the turn without a reply: the message is kept, marked and can be retried; what came of
    /// the reply is kept beside it. The idempotency key is free again.
    ///
    /// # Errors
    /// `conflict` when the turn is no longer open, `context_not_found` when its context was
    /// deleted, `storage_error`.
    pub async fn fail(
        &self,
        open: &OpenTurn,
        reason: &str,
        partial: Option<Outcome>,
    ) -> Result<(), Fault> {
        let open = open.clone();
        let reason = reason.to_owned();
        self.write(open.durability, move |job| {
            job.watched(&open.key, What::Failed, || job.fail(&open, &reason, partial.as_ref()))
        })
        .await
    }
}

/// A turn whose user's message has been stored.
struct Asked {
    row: Row,
    state: Map,
    before: Option<(u32, u64)>,
    user_seq: u32,
    created: bool,
}

impl Job<'_> {
    fn answer_now(
        &self,
        turn: NewTurn,
        model: impl FnOnce(&mut View<'_>) -> Result<LocalReply, Fault>,
    ) -> Result<Turn, Fault> {
        let (key, idem) = (turn.key.clone(), turn.idem.clone());
        if let Some(answer) = self.claim(&key, idem.as_ref())? {
            return self.replay(&key, answer);
        }
        let mut asked = self.ask(turn, EntryStatus::Complete)?;
        let reply = model(&mut View {
            connection: self.connection,
            row: &asked.row,
            state: &asked.state,
            head: asked.user_seq.saturating_sub(1),
            settings: std::cell::OnceCell::new(),
        })?;
        let mut meta = reply.meta;
        if !meta.contains_key("usage") {
            meta.insert("usage".to_owned(), usage_json(&reply.usage));
        }
        let outcome = Outcome {
            content: Content::Text(reply.text),
            model: reply.model,
            status: EntryStatus::Complete,
            meta,
            usage_tokens: None,
        };
        asked.row.revision += 1;
        let message = self.reply(&mut asked.row, &outcome)?;
        self.conclude(asked, message, idem.as_ref())
    }

    fn begin(&self, turn: NewTurn, durability: Durability) -> Result<Begun, Fault> {
        let (key, idem) = (turn.key.clone(), turn.idem.clone());
        if let Some(answer) = self.claim(&key, idem.as_ref())? {
            return self.replay(&key, answer).map(|turn| Begun::Replay(Box::new(turn)));
        }
        let Asked { mut row, state, before, user_seq, created } =
            self.ask(turn, EntryStatus::Pending)?;
        row.revision += 1;
        row.open_turn = Some(row.turns);
        ctx::save(self.connection, &row)?;
        ctx::save_open(self.connection, &row)?;
        self.inner.totals.moved(before, Some(figures(&row)));
        let doc = parts::doc(self.connection, &row)?;
        Ok(Begun::Open(Box::new(OpenTurn {
            context: parts::whole(self.connection, &row, state, doc)?,
            number: row.turns,
            user_seq,
            created,
            n: row.n,
            idem,
            durability,
            key,
        })))
    }

    fn reopen(&self, key: &Key, durability: Durability) -> Result<OpenTurn, Fault> {
        let mut row = self.live(key)?;
        row.admit(None)?;
        row.idle()?;
        let seq = row.turn_seq.ok_or_else(refuse::nothing_failed)?;
        // What a fork reads must never change under it.
        if chain::is_shared_from(self.connection, row.chain.own(), seq)? {
            return Err(refuse::failed_is_shared());
        }
        let user = entry::one(self.connection, &row.chain, seq)?
            .filter(|user| user.status == EntryStatus::Failed && !user.meta.contains_key("damaged"))
            .ok_or_else(refuse::nothing_failed)?;
        let pending = Entry { status: EntryStatus::Pending, ..user };
        entry::mark(self.connection, &row, &pending, None)?;
        entry::shift(self.connection, &mut row, seq, pending.tokens.into())?;
        row.touch(self.now);
        row.open_turn = Some(row.turns);
        ctx::save(self.connection, &row)?;
        ctx::save_open(self.connection, &row)?;
        Ok(OpenTurn {
            context: parts::context(self.connection, &row)?,
            number: row.turns,
            user_seq: seq,
            created: false,
            n: row.n,
            idem: None,
            durability,
            key: key.clone(),
        })
    }

    fn finish(
        &self,
        open: &OpenTurn,
        outcome: &Outcome,
        step: Option<&Step>,
    ) -> Result<Turn, Fault> {
        let mut row = self.open_row(open)?;
        if let Some(step) = step {
            epochs::keep(self.connection, row.n, step, self.now)?;
        }
        let before = Some(figures(&row));
        if let Some((prompt, _)) = outcome.usage_tokens {
            learn(&mut row, prompt);
        }
        if let Some(user) = entry::one(self.connection, &row.chain, open.user_seq)? {
            let complete = Entry { status: EntryStatus::Complete, ..user };
            entry::mark(self.connection, &row, &complete, None)?;
        }
        row.touch(self.now);
        row.open_turn = None;
        ctx::save_open(self.connection, &row)?;
        let message = self.reply(&mut row, outcome)?;
        let state = parts::state(self.connection, &row)?;
        let (user_seq, created) = (open.user_seq, open.created);
        let asked = Asked { row, state, before, user_seq, created };
        self.conclude(asked, message, open.idem.as_ref())
    }

    fn fail(&self, open: &OpenTurn, reason: &str, partial: Option<&Outcome>) -> Result<(), Fault> {
        let mut row = self.open_row(open)?;
        let before = Some(figures(&row));
        self.mark_failed(&mut row, reason)?;
        row.touch(self.now);
        if let Some(outcome) = partial {
            self.store(&mut row, outcome, EntryStatus::Partial)?;
        }
        ctx::save(self.connection, &row)?;
        if let Some(idem) = &open.idem {
            idem::free(self.connection, open.key.tenant, idem)?;
        }
        self.inner.totals.moved(before, Some(figures(&row)));
        Ok(())
    }

    /// Stores the user's message and the change of the state; the caller saves the row.
    fn ask(&self, mut turn: NewTurn, status: EntryStatus) -> Result<Asked, Fault> {
        let (mut row, created) = self.find_or_make(&turn)?;
        let before = (!created).then(|| figures(&row));
        row.admit(turn.expect)?;
        row.idle()?;
        self.append_all(&mut row, &turn.before)?;
        admit_contents(self, &row, &[&turn.content])?;
        if let Some(cleaned) = self.cleaned(&row, &turn.content, &turn.meta)? {
            (turn.content, turn.meta) = cleaned;
        }
        let mut state = parts::state(self.connection, &row)?;
        let may_change = turn.state.is_some() || turn.remember_last;
        let old = may_change.then(|| state.clone());
        let mut changed = turn.state.is_some_and(|change| change.apply(&mut state));
        if changed && let Some(plan) = self.writing_in(&row)? {
            clean_map(&plan, &mut state);
        }
        let mut limit = self.inner.limits.state_bytes;
        if turn.remember_last {
            let last = Value::String(turn.content.plain().into_owned());
            // The copy of the message has the message's own limit; it was admitted above.
            limit = limit.saturating_add(last.to_string().len());
            state.insert("last_message".to_owned(), last);
            changed = true;
        }
        if changed {
            parts::save_state(self.connection, &row, &state, limit)?;
        }
        let fresh = Fresh {
            role: Role::User,
            content: &turn.content,
            model: None,
            meta: &turn.meta,
            status,
        };
        row.turns += 1;
        let user = entry::append(self.connection, &mut row, fresh, self.now)?;
        row.turn_seq = Some(user.seq);
        if let Some(old) = old.filter(|_| changed) {
            let said = turn.remember_last.then_some(user.seq);
            self.state_changed(&row, (&old, &state), ("turn", said))?;
        }
        Ok(Asked { row, state, before, user_seq: user.seq, created })
    }

    fn find_or_make(&self, turn: &NewTurn) -> Result<(Row, bool), Fault> {
        if turn.create {
            let found = ctx::find(self.connection, &turn.key)?;
            match found {
                Some(row) if seal::is_gone(row.owner()) => return Err(refuse::erased()),
                Some(row) if row.expires.is_none_or(|end| end > self.now) => {
                    return Ok((row, false));
                }
                Some(row) => drop(self.remove(&row)?),
                None => {}
            }
            // A context that is made now has no revision a caller could have seen.
            if let Some(expected) = turn.expect {
                return Err(refuse::precondition(expected, 0));
            }
            return Ok((self.insert(&turn.key)?, true));
        }
        Ok((self.live(&turn.key)?, false))
    }

    /// Stores a reply; the caller saves the row.
    fn reply(&self, row: &mut Row, outcome: &Outcome) -> Result<Entry, Fault> {
        row.model = Some(outcome.model.clone());
        self.store(row, outcome, outcome.status)
    }

    fn store(&self, row: &mut Row, outcome: &Outcome, status: EntryStatus) -> Result<Entry, Fault> {
        let cleaned = self.cleaned(row, &outcome.content, &outcome.meta)?;
        let (content, meta) = match &cleaned {
            Some((content, meta)) => (content, meta),
            None => (&outcome.content, &outcome.meta),
        };
        let model = Some(&*outcome.model);
        let fresh = Fresh { role: Role::Assistant, content, model, meta, status };
        entry::append(self.connection, row, fresh, self.now)
    }

    /// Saves the row, keeps the answer for repeated requests, and hands the turn out.
    fn conclude(&self, asked: Asked, message: Entry, idem: Option<&Idem>) -> Result<Turn, Fault> {
        let Asked { row, state, before, user_seq, created } = asked;
        ctx::save(self.connection, &row)?;
        if let Some(idem) = idem {
            let small = parts::to_text(&state)?.len() <= STATE_BYTES_MAX;
            let answer = Answer {
                n: row.n,
                segment: Some(row.chain.own()),
                number: row.turns,
                revision: row.revision,
                first: user_seq,
                last: message.seq,
                created,
                state: small.then(|| state.clone()),
            };
            idem::done(self.connection, row.key.tenant, idem, &answer)?;
        }
        self.inner.totals.moved(before, Some(figures(&row)));
        Ok(Turn {
            context: Arc::clone(&row.key.id),
            number: row.turns,
            revision: row.revision,
            state,
            message,
            user_seq,
            replayed: false,
            created,
        })
    }

    fn claim(&self, key: &Key, idem: Option<&Idem>) -> Result<Option<Answer>, Fault> {
        match idem {
            None => Ok(None),
            Some(idem) => idem::claim(self.connection, key.tenant, idem, self.now),
        }
    }

    fn replay(&self, key: &Key, answer: Answer) -> Result<Turn, Fault> {
        let row = self.live(key)?;
        let message = entry::one(self.connection, &answer.chain(), answer.last)?;
        let message = message.filter(|_| row.n == answer.n).ok_or_else(refuse::not_found)?;
        let state = match answer.state {
            Some(state) => state,
            None => parts::state(self.connection, &row)?,
        };
        Ok(Turn {
            context: Arc::clone(&key.id),
            number: answer.number,
            revision: answer.revision,
            state,
            message,
            user_seq: answer.first,
            replayed: true,
            created: answer.created,
        })
    }

    /// Finds the row of a turn that must still be running. A context that was closed meanwhile
    /// still takes the reply.
    fn open_row(&self, open: &OpenTurn) -> Result<Row, Fault> {
        let row = ctx::find(self.connection, &open.key)?
            .filter(|row| row.n == open.n)
            .ok_or_else(refuse::not_found)?;
        if row.open_turn == Some(open.number) && row.turn_seq == Some(open.user_seq) {
            Ok(row)
        } else {
            Err(refuse::not_open())
        }
    }
}

/// Learns how the provider counts: what the prompt grew by since the last call is exactly the
/// entries that came between, so it corrects their estimate.
fn learn(row: &mut Row, prompt: u64) {
    if let Some(last) = row.anchor
        && last.start == row.start_seq
        && prompt > last.prompt
    {
        let estimated = row.cum.saturating_sub(last.cum);
        if estimated >= LEARNED_TOKENS_MIN {
            let ratio = (prompt - last.prompt).saturating_mul(1000) / estimated;
            let ratio = ratio.clamp(SCALE_BOUNDS.0, SCALE_BOUNDS.1);
            row.scale = (row.scale * 7 + ratio * 3) / 10;
        }
    }
    row.anchor = Some(Anchor { prompt, cum: row.cum, start: row.start_seq });
}

fn usage_json(usage: &Usage) -> Value {
    json!({ "input_tokens": usage.input, "output_tokens": usage.output })
}
