//! `echo`: repeats the message and the two state keys it knows.

use super::{Offline, Said, python};

/// The model of interact and raw TCP while nothing is configured.
#[derive(Debug)]
pub(super) struct Echo;

impl Offline for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn answer(&self, said: &Said<'_>) -> String {
        let mut out =
            format!("Echo from MCP server (session {}): You said '{}'. ", said.context, said.text);
        // Only these two spellings: existing clients compare the text byte by byte.
        if let Some(user) = said.state.get("user_id") {
            out.push_str("User ");
            python::write(&mut out, user);
            out.push_str(" is active. ");
        }
        if let Some(topic) = said.state.get("topic") {
            out.push_str("Current topic: ");
            python::write(&mut out, topic);
            out.push_str(". ");
        }
        out.push_str("Context updated.");
        out
    }
}
