//! What all calls cost, added up as they end.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::Shared;
use crate::decode;

/// What was spent, as far as prices are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// Calls of models.
    pub calls: u64,
    /// Of these, calls whose price is not known.
    pub unpriced: u64,
    /// Tokens of prompts.
    pub tokens_in: u64,
    /// Tokens of replies.
    pub tokens_out: u64,
}

/// The sum so far.
#[derive(Debug, Default)]
pub(crate) struct Purse(Mutex<Spent>);

impl Purse {
    pub(crate) fn now(&self) -> Spent {
        *self.0.lock()
    }
}

/// Adds up until the proxy ends.
pub(super) async fn count(shared: Arc<Shared>) {
    let mut ends = shared.book.ends();
    loop {
        let number = match ends.recv().await {
            Ok(number) => number,
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "the sum of costs left some exchanges out");
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        let Some(exchange) = shared.book.get(number) else { continue };
        let Some(call) = decode::call(&exchange, &shared.prices) else { continue };
        let mut spent = shared.purse.0.lock();
        spent.calls += 1;
        spent.tokens_in = spent.tokens_in.saturating_add(call.tokens_in);
        spent.tokens_out = spent.tokens_out.saturating_add(call.tokens_out);
        match call.cost {
            Some(cost) => spent.micro_usd = spent.micro_usd.saturating_add(cost.micro_usd),
            None => spent.unpriced += 1,
        }
    }
}
