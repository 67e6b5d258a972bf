//! How raw-TCP peers introduce themselves: text verbs, and the head of `MCP/1.0`.

/// The handshake is accepted; framed calls follow.
pub(super) const ACCEPTED: &str = "MCP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n";

/// The version is not spoken here.
pub(super) const REFUSED_VERSION: &str = "MCP/1.0 426 Upgrade Required\r\nSupported: 1.0\r\n\r\n";

/// A key is needed and none, or a wrong one, was shown.
pub(super) const REFUSED_CALLER: &str = "MCP/1.0 401 Unauthorized\r\n\
     Expected: Authorization: Bearer KEY\r\n\r\n";

/// How a verb is answered.
const OK: &str = "STATUS=OK VERSION=1.0";

/// How a verb is answered that asks for a version that is not spoken here.
const UNSUPPORTED: &str = "STATUS=UNSUPPORTED_VERSION SUPPORTED=1.0";

/// Limit: the longest session id a verb may name.
const SESSION_BYTES_MAX: usize = 256;

/// A text verb.
pub(super) struct Verb {
    /// The session it names.
    pub(super) session: String,
    /// Messages without a session go to this one from now on.
    pub(super) binds: bool,
    /// The version it asks for is spoken here, or it asks for none.
    pub(super) is_spoken: bool,
}

impl Verb {
    /// The answer, one line.
    pub(super) fn reply(&self) -> String {
        let name = if self.binds { "MCP_INIT_ACK" } else { "MCP_HELLO_RESPONSE" };
        let told = if self.is_spoken { OK } else { UNSUPPORTED };
        format!("{name}: SESSION_ID={} {told}\n", self.session)
    }
}

/// Reads `MCP_HELLO_REQUEST: SESSION_ID=…` and `MCP_INIT: SESSION_ID=…`; ` VERSION=1.0` may follow.
pub(super) fn verb(text: &str) -> Option<Verb> {
    let (name, rest) = text.split_once(':')?;
    let binds = match name.trim() {
        "MCP_HELLO_REQUEST" => false,
        "MCP_INIT" => true,
        _ => return None,
    };
    let mut words = rest.trim().strip_prefix("SESSION_ID=")?.split_whitespace();
    let session = words.next()?;
    let is_spoken = words.find_map(|word| word.strip_prefix("VERSION=")).is_none_or(is_ours);
    let sane = session.len() <= SESSION_BYTES_MAX && !session.chars().any(char::is_control);
    sane.then(|| Verb { session: session.to_owned(), binds, is_spoken })
}

/// Tells whether we speak the version: the major number decides.
fn is_ours(version: &str) -> bool {
    version.split('.').next() == Some("1")
}

/// The head of a handshake, line by line.
pub(super) struct Greeting {
    version: String,
    pub(super) secret: Option<String>,
}

/// Reads the first line of a handshake, `MCP/1.0`.
pub(super) fn begin(text: &str) -> Option<Greeting> {
    let version = text.strip_prefix("MCP/")?.split_whitespace().next().unwrap_or("");
    Some(Greeting { version: version.to_owned(), secret: None })
}

impl Greeting {
    /// Takes a header line; only the credential matters.
    pub(super) fn header(&mut self, text: &str) {
        let Some((name, value)) = text.split_once(':') else { return };
        let value = value.trim();
        if name.eq_ignore_ascii_case("authorization") {
            let bearer = value.split_once(' ').filter(|(s, _)| s.eq_ignore_ascii_case("bearer"));
            self.secret = Some(bearer.map_or(value, |(_, secret)| secret.trim()).to_owned());
        } else if name.eq_ignore_ascii_case("x-api-key") {
            self.secret = Some(value.to_owned());
        }
    }

    /// Tells whether we speak the version it asks for.
    pub(super) fn is_spoken(&self) -> bool {
        is_ours(&self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_name_their_session_and_nothing_else_is_one() {
        let hello = verb("MCP_HELLO_REQUEST: SESSION_ID=789").unwrap();
        let reply = "MCP_HELLO_RESPONSE: SESSION_ID=789 STATUS=OK VERSION=1.0\n";
        assert_eq!(hello.reply(), reply);
        let init = verb("MCP_INIT: SESSION_ID=101").unwrap();
        assert_eq!(init.reply(), "MCP_INIT_ACK: SESSION_ID=101 STATUS=OK VERSION=1.0\n");
        for text in ["Hello MCP Server", "MCP_INIT", "MCP_INIT: 5", "MCP_OTHER: SESSION_ID=1", ""] {
            assert!(verb(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_verb_that_asks_for_another_version_is_told_which_are_spoken() {
        for (version, told) in [
            ("1.0", "STATUS=OK VERSION=1.0"),
            ("1.9", "STATUS=OK VERSION=1.0"),
            ("2.0", "STATUS=UNSUPPORTED_VERSION SUPPORTED=1.0"),
            ("", "STATUS=UNSUPPORTED_VERSION SUPPORTED=1.0"),
        ] {
            let hello = verb(&format!("MCP_HELLO_REQUEST: SESSION_ID=7 VERSION={version}"));
            let reply = format!("MCP_HELLO_RESPONSE: SESSION_ID=7 {told}\n");
            assert_eq!(hello.unwrap().reply(), reply, "{version}");
        }
    }

    #[test]
    fn the_major_version_decides() {
        for (text, spoken) in [("MCP/1.0", true), ("MCP/1.7", true), ("MCP/2.0", false)] {
            assert_eq!(begin(text).unwrap().is_spoken(), spoken, "{text}");
        }
    }
}
