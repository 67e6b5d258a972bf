//! Says bytes, and takes what comes until there is silence.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use super::load::socket;
use crate::proxy::Target;

/// Limit: bytes that are taken.
const BYTES_MAX: usize = 64 << 20;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The server closed the connection; otherwise it fell silent.
    pub closed: bool,
}

/// Sends `bytes` and returns what comes until the server closes or says nothing for `wait`.
///
/// # Errors
/// Why there was no connection, or that it broke, after the target's name.
pub async fn exchange(target: &Target, bytes: &[u8], wait: Duration) -> Result<Said, String> {
    let mut stream = target.connect().await?;
    let broke = |cause: std::io::Error| format!("broke the connection off: {cause}");
    stream.write_all(bytes).await.map_err(broke)?;
    stream.flush().await.map_err(broke)?;
    let mut said = Said { bytes: Vec::new(), closed: false };
    while said.bytes.len() < BYTES_MAX {
        said.bytes.reserve(16 * 1024);
        match tokio::time::timeout(wait, stream.read_buf(&mut said.bytes)).await {
            Err(_) => break,
            Ok(Ok(0)) => {
                said.closed = true;
                break;
            }
            Ok(Ok(_)) => {}
            // What came before a reset was said all the same.
            Ok(Err(cause)) if said.bytes.is_empty() => return Err(broke(cause)),
            Ok(Err(_)) => {
                said.closed = true;
                break;
            }
        }
    }
    Ok(said)
}

/// Sends each text as a message to the WebSocket at `path`, and returns the messages that come, a
/// line each, until the server closes or says nothing for `wait`.
///
/// # Errors
/// Why there was no WebSocket, or that it broke, after the target's name.
pub async fn messages(
    target: &Target,
    path: &str,
    texts: &[String],
    wait: Duration,
) -> Result<Said, String> {
    let mut socket = socket(target, path).await?;
    for text in texts {
        let sent = socket.send(Message::text(text.as_str())).await;
        sent.map_err(|cause| format!("broke the WebSocket off: {cause}"))?;
    }
    let mut said = Said { bytes: Vec::new(), closed: false };
    while said.bytes.len() < BYTES_MAX {
        match tokio::time::timeout(wait, socket.next()).await {
            Err(_) => break,
            Ok(Some(Ok(Message::Text(text)))) => {
                said.bytes.extend_from_slice(text.as_bytes());
                said.bytes.push(b'\n');
            }
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                said.bytes.extend_from_slice(&bytes);
                said.bytes.push(b'\n');
            }
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => {
                said.closed = true;
                break;
            }
            Ok(Some(Ok(_))) => {}
        }
    }
    Ok(said)
}
