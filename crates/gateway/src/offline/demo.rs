//! `demo`: a tiny travel assistant of four rules, tried in order.

use super::{Offline, Said};

/// The model of the context doors while nothing is configured.
#[derive(Debug)]
pub(super) struct Demo;

impl Offline for Demo {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn answer(&self, said: &Said<'_>) -> String {
        let text = said.text.to_lowercase();
        if text.contains("hello") {
            return "Hello there! How can I help you today?".to_owned();
        }
        if text.contains("next tuesday") && (said.earlier)("flight") {
            return "Got it, a flight for next Tuesday. Any specific time or airline?".to_owned();
        }
        if text.contains("window seat") && (said.earlier)("flight") {
            return "Noted, window seat preference for your flight.".to_owned();
        }
        format!(
            "Acknowledged: '{}'. How can I further assist you with the context ID '{}'?",
            said.text, said.context
        )
    }
}
