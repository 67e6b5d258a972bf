//! What a model call carries, and the steps by which it leaves the oldest behind.

use storage::rusqlite::Connection;
use wire::Fault;

use super::Contexts;
use super::manage::CLEANING;
use crate::rows::ctx::{self, Row};
use crate::rows::parts::{self, Doc};
use crate::rows::{cut, entry, epochs, notes, summaries};
use crate::{
    Budget, Cut, Entry, Footing, Key, Plan, Recalled, Strategy, Summary, Window, clock, count,
};

/// The part of a window that pinned entries may fill.
const PINNED_DIVISOR: u64 = 4;

impl Contexts {
    /// Reads the window for a model call, as the context's settings say. When it exceeds the
    /// budget, its beginning moves forward in one big step, and stays there: until the next step,
    /// every call begins with the bytes of the call before.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn window(&self, key: &Key, budget: Budget) -> Result<Window, Fault> {
        self.window_as(key, budget, None).await
    }

    /// As [`Contexts::window`], but chosen by `plan` for this call only: nothing of the context
    /// moves.
    ///
    /// # Errors
    /// As [`Contexts::window`].
    pub async fn window_as(
        &self,
        key: &Key,
        budget: Budget,
        plan: Option<Plan>,
    ) -> Result<Window, Fault> {
        let moves = plan.is_none();
        let (wanted, chosen) = (key.clone(), plan.clone());
        let ready = self
            .db
            .read(move |connection| {
                let frame = Frame::read(connection, &wanted, budget, chosen.as_ref())?;
                match frame.next(connection)? {
                    None => frame.carry(connection, None).map(Some),
                    Some(cut) if !moves || frame.is_fleeting() => {
                        frame.moved(connection, cut)?.carry(connection, Some(cut)).map(Some)
                    }
                    Some(_) => Ok(None),
                }
            })
            .await?;
        let window = match ready {
            Some(window) => window,
            None => self.cut_window(key, budget).await?,
        };
        self.with_recalled(key, window).await
    }

    /// Moves the beginning of a window, and reads it.
    async fn cut_window(&self, key: &Key, budget: Budget) -> Result<Window, Fault> {
        let wanted = key.clone();
        // Decided again on the writer: another call may have cut since.
        let cut = self
            .write(CLEANING, move |job| {
                let frame = Frame::read(job.connection, &wanted, budget, None)?;
                let cut = frame.next(job.connection)?;
                if let Some(cut) = cut {
                    ctx::save_start(job.connection, frame.row.n, cut.first_seq)?;
                }
                Ok(cut)
            })
            .await?;
        let wanted = key.clone();
        self.db
            .read(move |connection| {
                Frame::read(connection, &wanted, budget, None)?.carry(connection, cut)
            })
            .await
    }

    /// Reads what [`Contexts::window_as`] would give now, and changes nothing.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn preview_window_as(
        &self,
        key: &Key,
        budget: Budget,
        plan: Option<Plan>,
    ) -> Result<Window, Fault> {
        let wanted = key.clone();
        let window = self
            .db
            .read(move |connection| {
                let frame = Frame::read(connection, &wanted, budget, plan.as_ref())?;
                match frame.next(connection)? {
                    None => frame.carry(connection, None),
                    Some(cut) => frame.moved(connection, cut)?.carry(connection, Some(cut)),
                }
            })
            .await?;
        self.with_recalled(key, window).await
    }

    /// Reads what [`Contexts::window`] would give now, and changes nothing.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn preview_window(&self, key: &Key, budget: Budget) -> Result<Window, Fault> {
        self.preview_window_as(key, budget, None).await
    }

    async fn with_recalled(&self, key: &Key, mut window: Window) -> Result<Window, Fault> {
        let question = window.entries.last().filter(|_| window.plan.recall > 0);
        let before = window.footing.start;
        if let Some(question) = question
            && before > 1
        {
            let text = question.content.plain().into_owned();
            let most = window.plan.recall;
            window.recalled = self.recall(key, &text, most, Some(before)).await?;
            let told: u64 = window.recalled.iter().map(Recalled::tokens).sum();
            window.tokens = window.tokens.saturating_add(told);
        }
        Ok(window)
    }
}

/// A window on its way: what is carried beside the entries, and what room that leaves them.
pub(super) struct Frame {
    pub(super) row: Row,
    pub(super) summary: Option<Summary>,
    pub(super) plan: Plan,
    doc: Doc,
    pinned: Vec<Entry>,
    tokens: u32,
}

impl Frame {
    /// Reads the frame of a context.
    pub(super) fn read(
        connection: &Connection,
        key: &Key,
        budget: Budget,
        plan: Option<&Plan>,
    ) -> Result<Self, Fault> {
        let row = ctx::live(connection, key, clock::now())?;
        let doc = parts::doc(connection, &row)?;
        let plan = plan.or(doc.settings.window.as_ref()).cloned().unwrap_or_default();
        let start = match plan.strategy {
            Strategy::Budget | Strategy::Summary => row.start_seq,
            Strategy::Full => 1,
            Strategy::Last(turns) => cut::turns_back(connection, &row.chain, row.head, turns)?,
        };
        let tokens = plan.tokens.map_or(budget.tokens, |most| most.min(budget.tokens));
        let frame = Self { row, summary: None, plan, doc, pinned: Vec::new(), tokens };
        frame.at(connection, start)
    }

    /// The frame with another beginning.
    fn at(mut self, connection: &Connection, start: u32) -> Result<Self, Fault> {
        self.row.start_seq = start.max(1);
        self.summary = match self.plan.strategy {
            Strategy::Summary => summaries::newest(connection, &self.row, self.row.start_seq)?,
            Strategy::Budget | Strategy::Full | Strategy::Last(_) => None,
        };
        let mut room = u64::from(self.tokens) / PINNED_DIVISOR;
        self.pinned.clear();
        for seq in summaries::pins(connection, &self.row, self.row.start_seq)?.into_iter().rev() {
            let Some(entry) = entry::one(connection, &self.row.chain, seq)? else { continue };
            let tokens = u64::from(entry.tokens);
            if entry.status.is_shown() && tokens <= room {
                room -= tokens;
                self.pinned.push(entry);
            }
        }
        self.pinned.reverse();
        Ok(self)
    }

    fn moved(self, connection: &Connection, cut: Cut) -> Result<Self, Fault> {
        self.at(connection, cut.first_seq)
    }

    /// Whether the beginning is found anew for every call.
    fn is_fleeting(&self) -> bool {
        matches!(self.plan.strategy, Strategy::Last(_))
    }

    /// Tokens of what is carried beside the entries.
    fn beside(&self) -> u64 {
        let summary = self.summary.as_ref().map_or(0, |s| u64::from(count::tokens(&s.text)));
        self.pinned.iter().map(|entry| u64::from(entry.tokens)).sum::<u64>() + summary
    }

    /// What room the entries have.
    pub(super) fn room(&self) -> u32 {
        let beside = u32::try_from(self.beside()).unwrap_or(u32::MAX);
        self.tokens.saturating_sub(beside).max(self.tokens / 2)
    }

    fn next(&self, connection: &Connection) -> Result<Option<Cut>, Fault> {
        match self.plan.strategy {
            Strategy::Full => Ok(None),
            Strategy::Budget | Strategy::Summary | Strategy::Last(_) => {
                cut::next(connection, &self.row, self.room())
            }
        }
    }

    fn carry(self, connection: &Connection, cut: Option<Cut>) -> Result<Window, Fault> {
        let beside = self.beside();
        let Self { row, summary, plan, doc, pinned, .. } = self;
        let tokens = cut::tokens_from(connection, &row, row.start_seq)?;
        let state = parts::state(connection, &row)?;
        let context = parts::whole(connection, &row, state, doc)?;
        let mut seqs = blake3::Hasher::new();
        for entry in &pinned {
            seqs.update(&entry.seq.to_le_bytes());
        }
        let digest = seqs.finalize();
        let pins = digest.as_bytes().first_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b));
        let footing = Footing {
            branch: row.chain.own(),
            start: row.start_seq,
            summary: summary.as_ref().map(|summary| summary.number),
            pinned: pins.into(),
            forked: row.parent.is_some(),
            last: epochs::trail(connection, row.n)?,
        };
        Ok(Window {
            knowledge: notes::knowledge(connection, &row, &context.state, clock::now())?,
            context,
            entries: entry::shown(connection, &row.chain, row.start_seq, row.head)?,
            cut,
            tokens: cut::scaled(&row, tokens).saturating_add(beside),
            footing,
            plan,
            summary,
            pinned,
            recalled: Vec::new(),
        })
    }
}
