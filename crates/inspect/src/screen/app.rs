//! What the live view shows, and what each key does to it. Nothing here draws or waits.

use std::collections::VecDeque;

use super::pane::{self, Pane};
use super::row::Row;
use crate::capture::{Book, Exchange};
use crate::decode::{self, Prices};
use crate::export::Secrets;
use crate::{Filter, Spent};

/// What is in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    List,
    Detail,
    Help,
    /// A line is being typed.
    Typing(Prompt, String),
}

/// What a typed line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Filter,
    Find,
    Export,
    Target,
}

impl Prompt {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Find => "find",
            Self::Export => "write to (.har, .pcapng, or lines of JSON)",
            Self::Target => "send to",
        }
    }
}

/// What is to be done outside of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Quit,
    /// Send a request again, to its target or another.
    Replay(u64, Option<String>),
    Go(u64),
    Drop(u64),
    Edit(u64),
    /// Hold all requests from now on, or none.
    Hold,
    Export(String),
    Clear,
}

/// The whole state.
#[derive(Debug)]
pub(super) struct App {
    pub(super) rows: VecDeque<Row>,
    pub(super) mode: Mode,
    /// What is in front again when a typed line is done.
    pub(super) behind: Mode,
    pub(super) selected: u64,
    /// The newest is chosen as it comes.
    pub(super) follows: bool,
    pub(super) filter_text: String,
    filter: Filter,
    pub(super) find: String,
    pub(super) pane: Pane,
    pub(super) scroll: usize,
    /// The first line of the help that is shown.
    pub(super) help: usize,
    /// The lines of the pane in front, for the exchange it belongs to.
    pub(super) lines: Vec<pane::Line>,
    shown_of: Option<(u64, Pane)>,
    pub(super) marked: Option<u64>,
    pub(super) said: String,
    pub(super) held: Vec<u64>,
    pub(super) holds: bool,
    pub(super) spent: Spent,
    pub(super) title: String,
    pub(super) page: usize,
    prices: Prices,
    secrets: Secrets,
}

impl App {
    pub(super) fn new(title: String, prices: Prices, secrets: Secrets) -> Self {
        Self {
            rows: VecDeque::new(),
            mode: Mode::List,
            behind: Mode::List,
            selected: 0,
            follows: true,
            filter_text: String::new(),
            filter: Filter::default(),
            find: String::new(),
            pane: Pane::Overview,
            scroll: 0,
            help: 0,
            lines: Vec::new(),
            shown_of: None,
            marked: None,
            said: String::new(),
            held: Vec::new(),
            holds: false,
            spent: Spent::default(),
            title,
            page: 10,
            prices,
            secrets,
        }
    }

    /// Takes in an exchange that is new or changed.
    pub(super) fn take(&mut self, exchange: &Exchange) {
        let row = if exchange.is_open() {
            Row::open(exchange)
        } else {
            let view = decode::priced(exchange, &self.prices);
            let is_shown = self.filter.takes(exchange, &view);
            Row::over(exchange, &view, is_shown)
        };
        let number = row.number;
        match self.rows.binary_search_by_key(&number, |row| row.number) {
            Ok(place) => {
                if let Some(old) = self.rows.get_mut(place) {
                    *old = row;
                }
            }
            Err(place) => self.rows.insert(place, row),
        }
        if self.shown_of.is_some_and(|(shown, _)| shown == number) {
            self.shown_of = None;
        }
        let in_list = self.mode == Mode::List;
        if self.selected == 0 || (self.follows && in_list && number > self.selected) {
            self.choose_last();
        }
    }

    /// Forgets what the book has forgotten.
    pub(super) fn forget_before(&mut self, first: u64) {
        while self.rows.front().is_some_and(|row| row.number < first) {
            self.rows.pop_front();
        }
        if self.selected < first && self.mode == Mode::List {
            self.choose_last();
        }
    }

    /// The rows that fit the filter.
    pub(super) fn shown(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_shown)
    }

    fn choose_last(&mut self) {
        let last = self.shown().next_back().map_or(0, |row| row.number);
        self.choose(last);
    }

    pub(super) fn choose(&mut self, number: u64) {
        if self.selected != number {
            self.selected = number;
            self.scroll = 0;
        }
    }

    /// Goes `by` rows down, or up.
    pub(super) fn step(&mut self, by: isize) {
        let numbers: Vec<u64> = self.shown().map(|row| row.number).collect();
        let at = numbers.iter().position(|number| *number >= self.selected);
        let at = at.unwrap_or(numbers.len().saturating_sub(1));
        let last = numbers.len().saturating_sub(1);
        let to = at.saturating_add_signed(by).min(last);
        if let Some(number) = numbers.get(to) {
            self.choose(*number);
        }
        self.follows = to == last;
    }

    /// Scrolls the pane.
    pub(super) fn scroll_by(&mut self, by: isize) {
        let last = self.lines.len().saturating_sub(1);
        self.scroll = self.scroll.saturating_add_signed(by).min(last);
    }

    /// Sets the filter and looks at every exchange anew.
    pub(super) fn set_filter(&mut self, text: &str, book: &Book) {
        match Filter::parse(text) {
            Ok(filter) => {
                self.filter = filter;
                text.trim().clone_into(&mut self.filter_text);
                let (filter, prices) = (&self.filter, &self.prices);
                let rows = &mut self.rows;
                book.each(0, |exchange| {
                    let number = exchange.number;
                    if let Ok(place) = rows.binary_search_by_key(&number, |row| row.number)
                        && let Some(row) = rows.get_mut(place)
                    {
                        let view = decode::priced(exchange, prices);
                        row.is_shown = exchange.is_open() || filter.takes(exchange, &view);
                    }
                    true
                });
                self.said = format!("{} fit", self.shown().count());
                if !self.shown().any(|row| row.number == self.selected) {
                    self.choose_last();
                }
            }
            Err(why) => self.said = why,
        }
    }

    /// Reads the pane in front when it is not the one that was read.
    pub(super) fn read(&mut self, book: &Book) {
        if self.shown_of == Some((self.selected, self.pane)) {
            return;
        }
        self.shown_of = Some((self.selected, self.pane));
        let exchange = book.get(self.selected);
        self.lines = match exchange {
            Some(exchange) => pane::lines(self.pane, &exchange, &self.prices, self.secrets),
            None => vec![pane::Line::plain("it was forgotten".to_owned())],
        };
    }

    /// Shows what is different between the marked exchange and the chosen one.
    pub(super) fn differ(&mut self, book: &Book) {
        let Some(first) = self.marked.and_then(|number| book.get(number)) else {
            "mark one with m first, choose another, and press d".clone_into(&mut self.said);
            return;
        };
        let Some(second) = book.get(self.selected) else { return };
        self.lines = pane::differences(&first, &second);
        self.pane = Pane::Difference;
        self.shown_of = Some((self.selected, Pane::Difference));
        self.scroll = 0;
        self.mode = Mode::Detail;
    }

    /// Goes to the next place (or the one before) where the pane has the text that is looked for.
    pub(super) fn find_next(&mut self, forward: bool) {
        let needle = self.find.to_lowercase();
        if needle.is_empty() {
            "press / and type what to look for".clone_into(&mut self.said);
            return;
        }
        let count = self.lines.len();
        let at = (1..=count).map(|step| {
            if forward {
                (self.scroll + step) % count
            } else {
                (self.scroll + count - step) % count
            }
        });
        let found = at.into_iter().find(|place| {
            self.lines.get(*place).is_some_and(|line| line.text.to_lowercase().contains(&needle))
        });
        match found {
            Some(place) => {
                self.scroll = place;
                self.said = format!("`{}` in line {}", self.find, place + 1);
            }
            None => self.said = format!("`{}` is not in this pane", self.find),
        }
    }

    /// Goes to the next row whose line has the text that is looked for.
    pub(super) fn find_row(&mut self, forward: bool) {
        let needle = self.find.to_lowercase();
        let has = |row: &&Row| {
            !needle.is_empty()
                && format!("{} {} {}", row.title, row.state, row.about)
                    .to_lowercase()
                    .contains(&needle)
        };
        let rows: Vec<&Row> = self.shown().collect();
        let at = rows.iter().position(|row| row.number == self.selected).unwrap_or(0);
        let count = rows.len();
        let mut order = (1..=count)
            .map(|step| if forward { (at + step) % count } else { (at + count - step) % count });
        let found = order.find_map(|place| rows.get(place).filter(|row| has(row)));
        match found.map(|row| row.number) {
            Some(number) => {
                self.follows = false;
                self.choose(number);
                self.said.clear();
            }
            None => self.said = format!("no line of the list has `{}`", self.find),
        }
    }

    /// Shows another pane.
    pub(super) fn turn(&mut self, pane: Pane) {
        self.pane = pane;
        self.scroll = 0;
    }
}
