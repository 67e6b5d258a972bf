//! `rapport raw`: say something over a bare connection, and see every byte that comes back.

use std::io::{IsTerminal as _, Read as _};
use std::time::Duration;

use clap::Args;
use inspect::measure::{exchange, messages};

use super::{Frame, block_on};
use crate::print::Exit;

/// What a session of `MCP/1.0` begins with.
const GREETING: &[u8] = b"MCP/1.0\r\nConnection: Upgrade\r\n\r\n";

/// Flags of `raw`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    rapport raw localhost:61900 '{\"type\":\"ping\"}'\n  \
    printf 'GET / HTTP/1.0\\r\\n\\r\\n' | rapport raw localhost:3000 --exact\n  \
    rapport raw localhost:6379 PING --hex\n  \
    rapport raw localhost:61900 --websocket /ws '{\"message\":\"hello\"}'")]
pub(super) struct Options {
    /// A URL, HOST:PORT or a port; `https://` speaks TLS
    #[arg(allow_hyphen_values = true)]
    target: String,
    /// What to say, a line each; standard input when left out. After `--` one may begin with `-`
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// Show every byte in hexadecimal too
    #[arg(long)]
    hex: bool,
    /// Send the bytes as they are, without a line end after each text
    #[arg(long)]
    exact: bool,
    /// Send each text as a message to the WebSocket at this path, such as `/ws`
    #[arg(long, value_name = "PATH", conflicts_with_all = ["exact", "greet"])]
    #[arg(value_parser = super::inspect::path)]
    websocket: Option<String>,
    /// Begin with the greeting of `MCP/1.0`
    #[arg(long)]
    greet: bool,
    /// How many seconds of silence end it
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    #[arg(value_parser = super::inspect::seconds, allow_negative_numbers = true)]
    wait: Duration,
}

/// Runs `raw`.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let target = match super::inspect::addressed(frame, Some(&options.target)) {
        Ok(target) => target,
        Err(exit) => return Ok(exit),
    };
    let mut bytes = if options.greet { GREETING.to_vec() } else { Vec::new() };
    let mut texts = options.texts.clone();
    if texts.is_empty() && !(options.greet && std::io::stdin().is_terminal()) {
        if std::io::stdin().is_terminal() {
            frame.printer.note("type what to say; Ctrl-D sends it");
        }
        let mut said = Vec::new();
        std::io::stdin().lock().read_to_end(&mut said)?;
        if options.websocket.is_some() {
            texts = String::from_utf8_lossy(&said).lines().map(ToOwned::to_owned).collect();
        }
        bytes.extend_from_slice(&said);
    }
    for text in &options.texts {
        bytes.extend_from_slice(text.as_bytes());
        if !options.exact {
            bytes.extend_from_slice(b"\r\n");
        }
    }
    if options.hex && options.websocket.is_none() {
        frame.printer.note(&dump(&bytes, '>'));
    }
    let said = block_on(async {
        match &options.websocket {
            Some(path) => messages(&target, path, &texts, options.wait).await,
            None => exchange(&target, &bytes, options.wait).await,
        }
    })?;
    let said = match said {
        Ok(said) => said,
        Err(why) => {
            frame
                .printer
                .error(&format!("{target} {}", why.replace("no WebSocket", "has no WebSocket")));
            return Ok(super::inspect::unanswered(frame, &target, &why));
        }
    };
    if options.hex {
        frame.printer.line(&dump(&said.bytes, '<'));
    } else {
        frame.printer.piece(&String::from_utf8_lossy(&said.bytes));
    }
    let end = if said.closed { "the server closed the connection" } else { "silence" };
    frame.printer.note(&format!("[{} bytes, then {end}]", said.bytes.len()));
    Ok(if said.bytes.is_empty() { Exit::Problem } else { Exit::Fine })
}

/// Sixteen bytes a line, as numbers and as text.
fn dump(bytes: &[u8], mark: char) -> String {
    let line = |(place, row): (usize, &[u8])| {
        let numbers: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = row
            .iter()
            .map(
                |byte| {
                    if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' }
                },
            )
            .collect();
        format!("{mark} {:06x}  {:<47}  {text}", place * 16, numbers.join(" "))
    };
    bytes.chunks(16).enumerate().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_shown_as_numbers_and_as_text() {
        let shown = super::dump(b"GET / HTTP/1.1\r\n\0", '>');
        assert_eq!(
            shown,
            "> 000000  47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a  GET / HTTP/1.1..\n\
             > 000010  00                                               ."
        );
    }
}
