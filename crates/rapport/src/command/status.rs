//! `rapport status`: what a running server is, listens on, knows and holds.

use clap::Args;
use serde_json::Value;

use super::Frame;
use super::reach::{Client, Reach};
use super::table::cell;
use crate::print::Exit;
use crate::remote::{Ask, Class, Failure};

/// Flags of `status`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    reach: Reach,
}

/// Asks the server for its state.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| status(client).await)
}

async fn status(client: &mut Client<'_>) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get("/api/v1/status")).await?;
    let value = &reply.value;
    if value.get("status").is_none() {
        let text = "something else than rapport answers there";
        return Err(client.server.advised(Failure::new(Class::Protocol, text)));
    }
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        let address = client.server.address().to_string();
        for line in lines(value, &address) {
            client.printer.line(&line);
        }
    }
    if value.pointer("/store/ok") == Some(&Value::Bool(false)) {
        let text = format!("the store does not work: {}", cell(value, "/store/last_error"));
        return Err(Failure::new(Class::Problem, text));
    }
    Ok(())
}

fn lines(value: &Value, address: &str) -> Vec<String> {
    let at = |path: &str| cell(value, path);
    let seconds = value.get("uptime_seconds").and_then(Value::as_u64).unwrap_or_default();
    let mut lines = vec![format!(
        "rapport {} is {} at {address} (process {}, up {})",
        at("/version"),
        at("/status"),
        at("/pid"),
        duration(seconds)
    )];
    let mut row = |name: &str, text: String| lines.push(format!("  {name:<12} {text}"));
    for listen in value.get("listen").and_then(Value::as_array).into_iter().flatten() {
        row("listening", format!("{} (TLS {})", cell(listen, "/address"), cell(listen, "/tls")));
    }
    row("reachable", format!("from {}", at("/reachable_from")));
    let offline = value.pointer("/model/offline") == Some(&Value::Bool(true));
    let offline = if offline { " (offline: no real model is configured)" } else { "" };
    row(
        "model",
        format!("{}, for interact {}{offline}", at("/model/default"), at("/model/interact")),
    );
    row(
        "store",
        format!(
            "{} {}, durability {}",
            at("/store/kind"),
            at("/store/path"),
            at("/store/durability")
        ),
    );
    row("contexts", format!("{} with {} messages", at("/contexts"), at("/messages")));
    let needed = value.pointer("/auth/required") == Some(&Value::Bool(true));
    let needed = if needed { "a key is needed" } else { "no key is needed" };
    row("keys", format!("{}; {needed} (mode {})", at("/auth/keys"), at("/auth/mode")));
    row("connections", format!("{} of at most {}", at("/connections"), at("/limits/connections")));
    let logs = at("/logs");
    if !logs.is_empty() {
        row("logs", logs);
    }
    lines
}

fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_said_in_the_two_largest_units() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(61), "1 min");
        assert_eq!(duration(3 * 3600 + 120), "3 h 2 min");
        assert_eq!(duration(2 * 86_400 + 3600), "2 d 1 h");
    }
}
