//! Recognises a protocol by the first bytes a server sends.

/// A protocol a port may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Http2,
    Tls,
    WebSocket,
    JsonLines,
    Mcp,
    Ssh,
    Smtp,
    Ftp,
    Redis,
    Postgres,
    Mysql,
    /// It sent bytes no known protocol begins with.
    Unknown,
}

impl Protocol {
    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Tls => "TLS",
            Self::WebSocket => "WebSocket",
            Self::JsonLines => "JSON lines",
            Self::Mcp => "MCP/1.0",
            Self::Ssh => "SSH",
            Self::Smtp => "SMTP",
            Self::Ftp => "FTP",
            Self::Redis => "Redis",
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Unknown => "an unknown protocol",
        }
    }
}

/// The HTTP/2 frame type `SETTINGS`, which is the first a server sends.
const SETTINGS: u8 = 4;

/// The beginnings of texts, the longest first where one begins another.
const TEXTS: &[(&[u8], Protocol)] = &[
    (b"HTTP/", Protocol::Http),
    (b"MCP/", Protocol::Mcp),
    (b"MCP_", Protocol::Mcp),
    (b"SSH-", Protocol::Ssh),
    (b"-ERR", Protocol::Redis),
    (b"-NOAUTH", Protocol::Redis),
    (b"-DENIED", Protocol::Redis),
    (b"+PONG", Protocol::Redis),
    (b"ERROR: Invalid JSON", Protocol::JsonLines),
    (b"{", Protocol::JsonLines),
];

/// What speaks, by its first bytes; `None` when there are none.
pub(crate) fn recognise(bytes: &[u8]) -> Option<Protocol> {
    if bytes.is_empty() {
        return None;
    }
    if let Some((_, protocol)) = TEXTS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Some(*protocol);
    }
    if bytes.starts_with(b"220") {
        let line = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        return Some(if line.contains("ftp") { Protocol::Ftp } else { Protocol::Smtp });
    }
    Some(match bytes {
        // A TLS record: handshake or alert, version 3.x.
        [0x15 | 0x16, 0x03, ..] => Protocol::Tls,
        // An HTTP/2 frame on stream 0, settings.
        [0, _, _, SETTINGS, _, 0, 0, 0, 0, ..] => Protocol::Http2,
        // A MySQL packet: length, number 0, protocol 10, or an error packet.
        [_, _, 0, 0, 10 | 0xff, ..] => Protocol::Mysql,
        // PostgreSQL's error: `E`, a length, `SFATAL` or `SERROR`.
        [b'E', 0, _, _, _, b'S', ..] => Protocol::Postgres,
        _ => Protocol::Unknown,
    })
}

/// The first bytes for people: text when it is text, else hex; at most 60 characters.
pub(crate) fn preview(bytes: &[u8]) -> String {
    let head = bytes.get(..bytes.len().min(40)).unwrap_or(bytes);
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or(head);
    let printable = !line.is_empty() && line.iter().all(|byte| (0x20..0x7f).contains(byte));
    if printable {
        return format!("\"{}\"", String::from_utf8_lossy(line));
    }
    let hex: Vec<String> = head.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("bytes {}", hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{Protocol, preview, recognise};

    #[test]
    fn first_bytes_name_their_protocol() {
        let cases: [(&[u8], Protocol); 12] = [
            (b"HTTP/1.1 200 OK\r\n", Protocol::Http),
            (b"\x15\x03\x01\0\x02\x02\x46", Protocol::Tls),
            (b"\x16\x03\x03\0\x50", Protocol::Tls),
            (b"\0\0\x06\x04\0\0\0\0\0", Protocol::Http2),
            (b"SSH-2.0-x", Protocol::Ssh),
            (b"220 x ESMTP", Protocol::Smtp),
            (b"220 ProFTPD", Protocol::Ftp),
            (b"-NOAUTH x", Protocol::Redis),
            (b"E\0\0\0\x55SFATAL", Protocol::Postgres),
            (b"\x4a\0\0\0\x0a8.0.36", Protocol::Mysql),
            (b"{\"a\":1}\n", Protocol::JsonLines),
            (b"hello", Protocol::Unknown),
        ];
        for (bytes, expected) in cases {
            assert_eq!(recognise(bytes), Some(expected), "{bytes:?}");
        }
        assert_eq!(recognise(b""), None);
    }

    #[test]
    fn previews_are_short_and_safe_to_print() {
        assert_eq!(preview(b"SSH-2.0-x\r\nmore"), "\"SSH-2.0-x\"");
        assert_eq!(preview(b"\x1b[31m"), "bytes 1b 5b 33 31 6d");
        assert!(preview(&[b'a'; 9000]).len() < 60);
    }
}
