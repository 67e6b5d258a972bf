//! What a model call carries, and the steps by which it leaves the oldest behind.

use std::sync::{Arc, Mutex, PoisonError};

use storage::rusqlite::Connection;
use wire::Fault;
use wire::prompt::Role;

use super::Contexts;
use super::manage::CLEANING;
use crate::rows::ctx::{self, Row};
use crate::rows::entry::Fresh;
use crate::rows::parts::{self, Doc};
use crate::rows::winds::Wind;
use crate::rows::{cut, entry, epochs, nodes, notes, summaries, winds};
use crate::{
    Budget, Content, Cut, Entry, EntryStatus, Footing, Key, Map, Plan, Recalled, Strategy, Summary,
    Window, clock, count,
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
                    let nodes = frame.newest_node(job.connection)?;
                    let wind = Wind { cleared: cut.cleared_upto, nodes };
                    if wind != frame.wind {
                        winds::save(job.connection, frame.row.n, wind)?;
                    }
                }
                Ok(cut)
            })
            .await?;
        let wanted = key.clone();
        self.read(move |connection| {
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

    /// The window that a turn with this question would have: the question is stored, the window
    /// read, and both are taken back.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `context_closed`, `context_too_long`,
    /// `storage_error`.
    pub async fn rehearse(
        &self,
        key: &Key,
        question: Content,
        budget: Budget,
        plan: Option<Plan>,
    ) -> Result<Window, Fault> {
        let seen = Arc::new(Mutex::new(None));
        let (wanted, slot) = (key.clone(), Arc::clone(&seen));
        let outcome = self
            .write(CLEANING, move |job| {
                let mut row = job.live(&wanted)?;
                row.admit(None)?;
                super::admit_contents(job, &row, &[&question])?;
                let fresh = Fresh {
                    role: Role::User,
                    content: &question,
                    model: None,
                    meta: &Map::new(),
                    status: EntryStatus::Pending,
                };
                entry::append(job.connection, &mut row, fresh, job.now)?;
                ctx::save(job.connection, &row)?;
                let frame = Frame::read(job.connection, &wanted, budget, plan.as_ref())?;
                let window = match frame.next(job.connection)? {
                    None => frame.carry(job.connection, None)?,
                    Some(cut) => {
                        frame.moved(job.connection, cut)?.carry(job.connection, Some(cut))?
                    }
                };
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(window);
                // A job that fails is undone.
                Err::<(), Fault>(Fault::internal("a rehearsal ended"))
            })
            .await;
        let window = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (window, outcome) {
            (Some(window), _) => self.with_recalled(key, window).await,
            (None, Err(fault)) => Err(fault),
            (None, Ok(())) => Err(Fault::internal("a rehearsal gave nothing")),
        }
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
        Ok(self.rendered(window))
    }
}

/// A window on its way: what is carried beside the entries, and what room that leaves them.
pub(super) struct Frame {
    pub(super) row: Row,
    pub(super) summary: Option<Summary>,
    pub(super) plan: Plan,
    /// What the last cut decided.
    pub(super) wind: Wind,
    doc: Doc,
    /// All that is pinned, and what of it is carried beside the entries.
    pins: Vec<u32>,
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
            Strategy::Budget | Strategy::Summary | Strategy::Hierarchical => row.start_seq,
            Strategy::Full => 1,
            Strategy::Last(turns) => cut::turns_back(connection, &row.chain, row.head, turns)?,
        };
        let tokens = plan.tokens.map_or(budget.tokens, |most| most.min(budget.tokens));
        let wind = if plan.clear_tools.is_some() || plan.strategy == Strategy::Hierarchical {
            winds::read(connection, row.n)?
        } else {
            Wind::default()
        };
        let pins = summaries::pins(connection, &row, u32::MAX)?;
        let pinned = Vec::new();
        let frame = Self { row, summary: None, plan, wind, doc, pins, pinned, tokens };
        frame.at(connection, start)
    }

    /// The frame with another beginning.
    fn at(mut self, connection: &Connection, start: u32) -> Result<Self, Fault> {
        self.row.start_seq = start.max(1);
        self.summary = match self.plan.strategy {
            Strategy::Summary => summaries::newest(connection, &self.row, self.row.start_seq)?,
            Strategy::Hierarchical => {
                let which = (self.row.start_seq, self.wind.nodes);
                nodes::told(connection, &self.row, which)?
            }
            Strategy::Budget | Strategy::Full | Strategy::Last(_) => None,
        };
        let mut room = u64::from(self.tokens) / PINNED_DIVISOR;
        self.pinned.clear();
        let before = self.row.start_seq;
        for seq in self.pins.iter().rev().filter(|seq| **seq < before) {
            let Some(entry) = entry::one(connection, &self.row.chain, *seq)? else { continue };
            let tokens = u64::from(entry.tokens);
            if entry.status.is_shown() && tokens <= room {
                room -= tokens;
                self.pinned.push(entry);
            }
        }
        self.pinned.reverse();
        Ok(self)
    }

    fn moved(mut self, connection: &Connection, cut: Cut) -> Result<Self, Fault> {
        self.wind = Wind { cleared: cut.cleared_upto, nodes: self.newest_node(connection)? };
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

    /// The newest node of the tree of summaries, whatever it stands for.
    fn newest_node(&self, connection: &Connection) -> Result<u32, Fault> {
        if self.plan.strategy != Strategy::Hierarchical {
            return Ok(self.wind.nodes);
        }
        let all = nodes::list(connection, &self.row, (u32::MAX, u32::MAX))?;
        Ok(all.iter().map(|node| node.number).max().unwrap_or_default())
    }

    /// What room the entries have.
    pub(super) fn room(&self) -> u32 {
        let beside = u32::try_from(self.beside()).unwrap_or(u32::MAX);
        self.tokens.saturating_sub(beside).max(self.tokens / 2)
    }

    fn next(&self, connection: &Connection) -> Result<Option<Cut>, Fault> {
        match self.plan.strategy {
            Strategy::Full => Ok(None),
            Strategy::Budget | Strategy::Last(_) => self.cut(connection, self.room()),
            Strategy::Summary => {
                let waiting = self.waiting(connection)?;
                if waiting.is_some_and(|cut| cut.kept_tokens <= u64::from(self.room())) {
                    return Ok(waiting);
                }
                // One that came too late to make room is not all that is left out.
                let forced = self.cut(connection, self.room())?;
                Ok(waiting.into_iter().chain(forced).max_by_key(|cut| cut.first_seq))
            }
            Strategy::Hierarchical => self.cut_between_leaves(connection),
        }
    }

    /// The next cut of a window of this size.
    fn cut(&self, connection: &Connection, budget: u32) -> Result<Option<Cut>, Fault> {
        let (cleared, keep_results) = (self.wind.cleared, self.plan.clear_tools);
        cut::next(connection, &self.row, cut::Room { budget, cleared, keep_results })
    }

    /// The next cut of a window of this size, if it began at `start`.
    pub(super) fn cut_from(
        &self,
        connection: &Connection,
        start: u32,
        budget: u32,
    ) -> Result<Option<Cut>, Fault> {
        let (cleared, keep_results) = (self.wind.cleared, self.plan.clear_tools);
        let row = Row { start_seq: start, ..self.row.clone() };
        cut::next(connection, &row, cut::Room { budget, cleared, keep_results })
    }

    /// A summary that came while a turn was running takes its place when the next one begins.
    fn waiting(&self, connection: &Connection) -> Result<Option<Cut>, Fault> {
        let row = &self.row;
        let Some(summary) = summaries::newest(connection, row, row.head)? else { return Ok(None) };
        if summary.upto < row.start_seq || cut::is_in_loop(connection, row)? {
            return Ok(None);
        }
        let held = cut::tokens_cleared(connection, row, (row.start_seq, self.wind.cleared))?;
        let at = (summary.upto.saturating_add(1), self.wind.cleared);
        cut::report(connection, row, at, held).map(Some)
    }

    /// A cut that leaves out whole leaves of the tree of summaries.
    fn cut_between_leaves(&self, connection: &Connection) -> Result<Option<Cut>, Fault> {
        let Some(found) = self.cut(connection, self.room())? else { return Ok(None) };
        let row = &self.row;
        let all = nodes::list(connection, row, (row.head, u32::MAX))?;
        let split = all.iter().find(|node| {
            node.level == 0 && node.first < found.first_seq && found.first_seq <= node.upto
        });
        match split {
            None => Ok(Some(found)),
            Some(node) => {
                let held =
                    cut::tokens_cleared(connection, row, (row.start_seq, self.wind.cleared))?;
                let at = (node.upto.saturating_add(1), found.cleared_upto);
                cut::report(connection, row, at, held).map(Some)
            }
        }
    }

    fn carry(self, connection: &Connection, cut: Option<Cut>) -> Result<Window, Fault> {
        let beside = self.beside();
        let Self { row, summary, plan, wind, doc, pinned, .. } = self;
        let cleared = if plan.clear_tools.is_some() { wind.cleared } else { 0 };
        let tokens = cut::tokens_cleared(connection, &row, (row.start_seq, cleared))?;
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
            cleared,
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
            cleared,
            summary,
            pinned,
            recalled: Vec::new(),
        })
    }
}
