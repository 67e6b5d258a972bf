//! Reads log levels: one word, or a word for each part of the program.

use anyhow::Context;
use tracing_subscriber::EnvFilter;

const LEVELS: &[&str] = &["off", "error", "warn", "warning", "info", "debug", "trace"];

/// Libraries whose debug lines say nothing about our behaviour, and may hold headers.
const QUIET: &str = "hyper=info,hyper_util=info,h2=info,rustls=info,tungstenite=info,mio=info";

/// Whether `text` is a level or a list such as `info,gateway=debug`.
///
/// # Errors
/// What would have been right, as one phrase.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let wrong = "write trace, debug, info, warn or error, or a list such as `info,gateway=debug`";
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(wrong.to_owned());
    }
    for part in parts {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            return Err(wrong.to_owned());
        }
    }
    EnvFilter::try_new(normal(text)).map(|_| ()).map_err(|error| format!("{wrong} ({error})"))
}

/// The filter for `text`.
pub(super) fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    // What the user says comes last and wins.
    let all = format!("{QUIET},{}", normal(text));
    EnvFilter::try_new(all).with_context(|| format!("`{text}` is no log level"))
}

fn normal(text: &str) -> String {
    text.to_ascii_lowercase().replace("warning", "warn").replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::{check, filter};

    #[test]
    fn words_and_lists_are_levels_and_names_alone_are_not() {
        for level in
            ["info", "WARNING", "debug", "info,gateway=debug", "off", "error, rapport=trace"]
        {
            assert_eq!(check(level), Ok(()), "{level}");
            assert!(filter(level).is_ok(), "{level}");
        }
        for wrong in ["", "loud", "gateway", "gateway=loud", "info,,x"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
