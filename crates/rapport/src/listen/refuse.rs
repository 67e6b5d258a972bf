//! The answers of a listener that does not let a connection through, each in its own protocol.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::sniff::Protocol;

/// Limit: how long a refused caller may take to hang up, and how much it may still send.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// A TLS record with the fatal alert `protocol_version`: what a TLS client can read.
const TLS_ALERT: &[u8] = &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46];

/// Why a connection is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The limit of connections is reached.
    Full,
    /// The server is not ready yet.
    Starting,
    /// TLS where there is none.
    NoTls,
    /// No TLS where it is required; holds the port.
    TlsRequired(u16),
    /// A head that is not HTTP.
    Unread,
    /// A path that is too long.
    LongTarget,
    /// A head that is too long.
    LongHead,
}

/// The bytes that tell a caller of `protocol` about `reason`.
pub(super) fn answer(reason: Reason, protocol: Protocol) -> Vec<u8> {
    let (status, code, text, hint) = match reason {
        Reason::Full => (
            "503 Service Unavailable",
            "overloaded",
            "too many connections".to_owned(),
            "try again in a moment, or raise `limits.connections`".to_owned(),
        ),
        Reason::Starting => (
            "503 Service Unavailable",
            "initializing",
            "the server is starting".to_owned(),
            "try again in a second".to_owned(),
        ),
        Reason::NoTls => (
            "400 Bad Request",
            "protocol_mismatch",
            "this port does not speak TLS".to_owned(),
            "use http://, or set `tls.mode`".to_owned(),
        ),
        Reason::TlsRequired(port) => (
            "400 Bad Request",
            "protocol_mismatch",
            format!("TLS required: use https://localhost:{port}/"),
            format!("use https:// instead of http://, as in https://localhost:{port}/"),
        ),
        Reason::Unread => (
            "400 Bad Request",
            "invalid_input",
            "the head of the request is not HTTP".to_owned(),
            "write `METHOD PATH HTTP/1.1`, then lines `name: value`, one content length among them \
             at most, then an empty line"
                .to_owned(),
        ),
        Reason::LongTarget => (
            "414 URI Too Long",
            "payload_too_large",
            "the path of the request is longer than 65534 bytes".to_owned(),
            "send what is long in a body".to_owned(),
        ),
        Reason::LongHead => (
            "431 Request Header Fields Too Large",
            "payload_too_large",
            "the head of the request is larger than 64 KiB or has more than 128 headers".to_owned(),
            "send fewer or shorter headers".to_owned(),
        ),
    };
    match protocol {
        Protocol::Tls => TLS_ALERT.to_vec(),
        Protocol::Lines => format!("ERROR: {text}\n").into_bytes(),
        Protocol::Http => {
            let body = serde_json::json!({ "error": text, "code": code, "hint": hint });
            let body = format!("{body}\n");
            let retry = match reason {
                Reason::Full | Reason::Starting => "Retry-After: 1\r\n",
                _ => "",
            };
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 {retry}Connection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        }
    }
}

/// Sends `bytes` and closes so that the caller can still read them.
pub(super) async fn say(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) {
    let talk = async {
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        // Unread bytes would turn our close into a reset, which throws the answer away.
        // On the heap: an array would be part of every connection's size.
        let mut rest = vec![0; 4096];
        let mut taken = 0;
        while taken < LINGER_BYTES {
            match stream.read(&mut rest).await? {
                0 => break,
                length => taken += length,
            }
        }
        Ok::<(), std::io::Error>(())
    };
    // A caller that is gone needs no answer.
    let _gone = tokio::time::timeout(LINGER, talk).await;
}

#[cfg(test)]
mod tests {
    use super::{Protocol, Reason, answer};

    #[test]
    fn every_reason_is_said_in_the_callers_protocol() {
        let text = |reason, protocol| String::from_utf8(answer(reason, protocol)).unwrap();
        let full = text(Reason::Full, Protocol::Http);
        assert!(full.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{full}");
        assert!(full.contains("Retry-After: 1\r\n"), "{full}");
        let (head, body) = full.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["code"], "overloaded");

        let plain = text(Reason::TlsRequired(61900), Protocol::Http);
        assert!(plain.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{plain}");
        assert!(plain.contains("https://localhost:61900/"), "{plain}");
        assert_eq!(
            text(Reason::TlsRequired(61900), Protocol::Lines),
            "ERROR: TLS required: use https://localhost:61900/\n"
        );
        assert_eq!(answer(Reason::NoTls, Protocol::Tls), [21, 3, 1, 0, 2, 2, 70]);
    }
}
