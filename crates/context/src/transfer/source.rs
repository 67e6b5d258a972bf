//! A document on its way in: read once, piece by piece, each piece within a limit.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use wire::{Code, Fault};

/// Limit: bytes of one message with everything around it.
pub(super) const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Limit: bytes of one conversation of an export that keeps trees.
pub(super) const TREE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How many bytes the present piece may still take.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    each: u64,
    left: Rc<Cell<u64>>,
}

impl Budget {
    pub(super) fn new(each: u64) -> Self {
        Self { each, left: Rc::new(Cell::new(each)) }
    }

    /// A piece is complete; the next one may be as large.
    pub(super) fn renew(&self) {
        self.left.set(self.each);
    }

    /// The fault of an error of the reader.
    pub(super) fn fault(&self, error: io::Error) -> Fault {
        if self.left.get() == 0 {
            let text = format!("one piece of the document is larger than {} bytes", self.each);
            return Fault::new(Code::PayloadTooLarge, text)
                .hint("a message may have 64 MiB, a conversation of a tree 256 MiB")
                .details(serde_json::json!({"limit_bytes": self.each}));
        }
        match error.downcast::<Fault>() {
            Ok(fault) => fault,
            Err(error) => Fault::new(Code::InvalidInput, "the document ended early").because(error),
        }
    }
}

/// A reader that stops where a piece becomes too large.
pub(super) struct Source<R> {
    from: R,
    budget: Budget,
}

impl<R> Source<R> {
    pub(super) fn new(from: R, budget: &Budget) -> Self {
        Self { from, budget: budget.clone() }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        let left = self.budget.left.get().saturating_sub(count as u64);
        self.budget.left.set(left);
        if left == 0 && count > 0 {
            return Err(io::Error::other("too large"));
        }
        Ok(count)
    }
}
