//! One connection: how long it takes, and what answers.

use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::http::{Head, Side};
use crate::proxy::Target;

/// How long a server may take to greet by itself, as those of mail and databases do.
const GREETING: Duration = Duration::from_millis(300);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one connection found.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Until the connection stood, TLS included, in microseconds.
    pub connect_us: u64,
    /// From the question to the first byte of the answer; nothing when there was none.
    pub first_byte_us: Option<u64>,
    /// What is spoken there, in words.
    pub speaks: String,
}

/// Connects, asks and hangs up. With `asks` off only the connection is made.
///
/// # Errors
/// Why there was no connection, after the target's name.
pub async fn ping(target: &Target, asks: bool) -> Result<Answer, String> {
    let began = Instant::now();
    let mut stream = target.connect().await?;
    let connect_us = us(began.elapsed());
    if !asks {
        return Ok(Answer { connect_us, first_byte_us: None, speaks: String::new() });
    }
    let mut buffer = vec![0; 4096];
    if let Ok(Ok(length @ 1..)) = tokio::time::timeout(GREETING, stream.read(&mut buffer)).await {
        let greeting = buffer.get(..length).unwrap_or_default();
        return Ok(Answer { connect_us, first_byte_us: None, speaks: greets(greeting) });
    }
    let ask =
        format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.authority());
    let began = Instant::now();
    let answered = async {
        stream.write_all(ask.as_bytes()).await?;
        stream.read(&mut buffer).await
    };
    let (speaks, first) = match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(length @ 1..)) => {
            let bytes = buffer.get(..length).unwrap_or_default();
            (answers(bytes), Some(us(began.elapsed())))
        }
        Ok(Ok(_)) => ("it closes when it is spoken to in HTTP".to_owned(), None),
        Ok(Err(error)) => (format!("it breaks the connection off: {error}"), None),
        Err(_) => (format!("it accepts, and says nothing within {PATIENCE:?}"), None),
    };
    Ok(Answer { connect_us, first_byte_us: first, speaks })
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn answers(bytes: &[u8]) -> String {
    match Head::read(bytes, Side::Answer) {
        Ok(Some(head)) => {
            let version = head.header("x-rapport-version");
            let server = head.header("server").unwrap_or("a server without a name");
            match version {
                Some(version) => format!("Rapport {version} over HTTP/1.1"),
                None => format!("HTTP/1.1, {} of {server}", head.status()),
            }
        }
        _ => greets(bytes),
    }
}

fn greets(bytes: &[u8]) -> String {
    const GREETINGS: &[(&[u8], &str)] = &[
        (b"SSH-", "SSH"),
        (b"220 ", "SMTP or FTP"),
        (b"* OK", "IMAP"),
        (b"+OK", "POP3"),
        (b"-ERR", "Redis"),
        (b"\x15\x03", "TLS: it refuses plain text"),
        (b"RFB ", "VNC"),
        (b"AMQP", "AMQP"),
    ];
    if let Some((_, name)) = GREETINGS.iter().find(|(begin, _)| bytes.starts_with(begin)) {
        return (*name).to_owned();
    }
    if bytes.get(4) == Some(&0x0a) && bytes.get(3) == Some(&0) {
        return "MySQL".to_owned();
    }
    let text: String = String::from_utf8_lossy(bytes).chars().take(60).collect();
    format!("something that says `{}`", text.escape_debug())
}
