//! What a caller can ask of the list of contexts and of a log.

use jiff::Timestamp;
use wire::prompt::Role;

use crate::Status;

/// One page of a longer list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, in the order that was asked for.
    pub items: Vec<T>,
    /// What to hand in to get the next page; `None` on the last one. For entries it is the `seq`
    /// to go on after (before, when the newest come first).
    pub next: Option<String>,
}

/// The order of a list of contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sort {
    /// By the last change.
    #[default]
    Updated,
    /// By the time they were made.
    Created,
    /// By the bytes of their messages.
    Size,
}

/// Which contexts to list; absent conditions hold always.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Exactly this user.
    pub user: Option<String>,
    /// Only open or only closed ones.
    pub status: Option<Status>,
    /// The model of the last reply, or else of the settings.
    pub model: Option<String>,
    /// Changed after this moment.
    pub updated_after: Option<Timestamp>,
    /// Changed before this moment.
    pub updated_before: Option<Timestamp>,
    /// At least so many messages.
    pub min_messages: Option<u64>,
    /// At most so many messages.
    pub max_messages: Option<u64>,
    /// At least so many bytes of messages.
    pub min_bytes: Option<u64>,
    /// At most so many bytes of messages.
    pub max_bytes: Option<u64>,
    /// The beginning of the id.
    pub id_prefix: Option<String>,
    /// A part of the title; upper and lower case are the same in ASCII.
    pub title_contains: Option<String>,
    /// The order.
    pub sort: Sort,
    /// The smallest or oldest first.
    pub ascending: bool,
    /// Items of a page, 1 to 500.
    pub limit: u32,
    /// [`Page::next`] of the page before; only with the same `sort` and `ascending`.
    pub cursor: Option<String>,
}

/// Limit: contexts or entries of one page.
pub(crate) const PAGE_ITEMS_MAX: u32 = 500;

impl Default for Filter {
    fn default() -> Self {
        Self {
            user: None,
            status: None,
            model: None,
            updated_after: None,
            updated_before: None,
            min_messages: None,
            max_messages: None,
            min_bytes: None,
            max_bytes: None,
            id_prefix: None,
            title_contains: None,
            sort: Sort::Updated,
            ascending: false,
            limit: 50,
            cursor: None,
        }
    }
}

/// Which entries of a log to read; absent conditions hold always.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Entries of the page, 1 to 500.
    pub limit: u32,
    /// Entries with a larger `seq`.
    pub after: Option<u32>,
    /// Entries with a smaller `seq`.
    pub before: Option<u32>,
    /// Only the newest so many of the entries that fit.
    pub last: Option<u32>,
    /// Only the newest so many turns.
    pub last_turns: Option<u32>,
    /// Only of this speaker.
    pub role: Option<Role>,
    /// Stored at or after this moment.
    pub since: Option<Timestamp>,
    /// The newest first.
    pub newest_first: bool,
}

impl Default for Slice {
    fn default() -> Self {
        Self {
            limit: 50,
            after: None,
            before: None,
            last: None,
            last_turns: None,
            role: None,
            since: None,
            newest_first: false,
        }
    }
}
