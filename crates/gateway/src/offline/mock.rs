//! `mock`: one greeting for every message, for tests of a caller's own code.

use super::{Offline, Said};

/// The model of every door in mock mode.
#[derive(Debug)]
pub(super) struct Mock;

impl Offline for Mock {
    fn name(&self) -> &'static str {
        "mock"
    }

    fn answer(&self, _: &Said<'_>) -> String {
        "Hello, how can I help?".to_owned()
    }
}
