//! Models to play without writing a script: each behaves in one way that clients must cope with.

/// Names, what each does in a few words, and their scripts.
pub const CAST: &[(&str, &str, &str)] = &[
    ("echo", "says again what it was told", ECHO),
    ("demo", "a small travel assistant", DEMO),
    ("slow", "begins after three seconds and speaks word by word", SLOW),
    ("failing", "fails five times, each time in another way, and works from then on", FAILING),
    ("forgetful", "knows the last message only, whatever else it is sent", FORGETFUL),
];

/// The script of a model by its name.
#[must_use]
pub fn cast(name: &str) -> Option<&'static str> {
    CAST.iter().find(|(known, _, _)| *known == name).map(|(_, _, script)| *script)
}

const ECHO: &str = r#"
[default]
text = "You said '{message}'."
"#;

const DEMO: &str = r#"
[default]
text = "I can help with trips. Where would you like to go?"

[[rule]]
when = { message = "hello" }
reply = { text = "Hello there! How can I help you today?" }

[[rule]]
when = { message = "weather" }
reply = { text = "It is sunny there, with 24 degrees." }

[[rule]]
when = { message = "book" }
reply = { text = "Your trip is booked." }
"#;

const SLOW: &str = r#"
[default]
delay_ms = 3000
pause_ms = 250
fragments = ["This ", "answer ", "takes ", "its ", "time, ", "as ", "models ", "often ", "do."]
"#;

const FAILING: &str = r#"
[default]
text = "It works again."

[[rule]]
name = "rate limited"
times = 1
reply = { status = 429, retry_after = "1", error = { message = "slow down" } }

[[rule]]
name = "broken"
times = 1
reply = { status = 500, error = { message = "something broke" } }

[[rule]]
name = "overloaded"
times = 1
reply = { status = 529, error = { message = "overloaded" } }

[[rule]]
name = "cut"
times = 1
reply = { text = "This will not arrive as a whole.", cut_at = 60 }

[[rule]]
name = "dropped"
times = 1
reply = { fault = "drop" }
"#;

const FORGETFUL: &str = r#"
[default]
text = "I remember nothing of what was said before. You now say: {message}"
"#;

#[cfg(test)]
mod tests {
    use super::{CAST, cast};
    use crate::Script;

    #[test]
    fn every_model_has_a_script_that_can_be_read() {
        for (name, _, script) in CAST {
            Script::parse(script).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
        assert_eq!(Script::parse(cast("failing").unwrap()).unwrap().rules.len(), 5);
        assert_eq!(cast("nobody"), None);
    }
}
