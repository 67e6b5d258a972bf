//! Finds out which protocol a port speaks: listens first, then speaks, at most six connections.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::dial::{Dialed, open};
use super::first::{Protocol, preview, recognise};
use super::http::{Answer, End, Reply, exchange, get, upgrade, wait_on};
use super::tls::{Handshake, Peer, Refusal, Secured, handshake};
use crate::target::Scheme;

/// Limit: how long a server that speaks first is given.
const BANNER: Duration = Duration::from_millis(150);

/// Limit: how long an HTTP answer may take to begin and end.
const ANSWER: Duration = Duration::from_millis(2500);

/// Limit: each of the further tries, which run together.
const TRY: Duration = Duration::from_millis(1000);

/// Limit: how much longer a server is waited for that took a request and said nothing.
const PATIENCE: Duration = Duration::from_millis(3900);

/// A line that is no JSON and no verb: servers of JSON lines answer with an error and keep nothing.
const LINE: &[u8] = b"rapport-doctor asks what is spoken here\n";

/// The greeting of the `MCP/1.0` text session.
const GREETING: &[u8] = b"MCP/1.0\r\nConnection: Upgrade\r\n\r\n";

/// The question `PostgreSQL` answers with `S` or `N`.
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];

/// What to ask a port.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) address: SocketAddr,
    pub(crate) scheme: Option<Scheme>,
    /// The host for TLS, and whom to trust.
    pub(crate) peer: Peer,
    /// The value of the `Host` header.
    pub(crate) host: String,
    pub(crate) path: String,
}

/// What a port said.
#[derive(Debug, Clone)]
pub(crate) struct Spoken {
    pub(crate) protocol: Option<Protocol>,
    /// Further protocols the same port speaks.
    pub(crate) also: Vec<Protocol>,
    pub(crate) answer: Option<Answer>,
    /// The bytes of the answer, when they begin as HTTP does.
    pub(crate) reply: Option<Reply>,
    pub(crate) end: End,
    /// What a WebSocket's handshake got instead of a WebSocket.
    pub(crate) upgrade: Option<Box<Answer>>,
    /// What was seen, for people.
    pub(crate) evidence: Vec<String>,
    /// The TLS handshake, when one was completed.
    pub(crate) tls: Option<Box<Secured>>,
    /// Why a TLS handshake was refused by a server that speaks TLS.
    pub(crate) tls_refused: Option<Refusal>,
}

impl Spoken {
    fn nothing(end: End, evidence: String) -> Self {
        Self {
            protocol: None,
            also: Vec::new(),
            answer: None,
            reply: None,
            end,
            upgrade: None,
            evidence: vec![evidence],
            tls: None,
            tls_refused: None,
        }
    }

    fn said(protocol: Protocol, evidence: String) -> Self {
        Self { protocol: Some(protocol), ..Self::nothing(End::Answered, evidence) }
    }

    fn refused(refusal: Refusal) -> Self {
        let evidence = format!("it refused the TLS handshake: {}", refusal.alert);
        Self { tls_refused: Some(refusal), ..Self::said(Protocol::Tls, evidence) }
    }

    fn answered(answer: Answer, reply: Reply) -> Self {
        let evidence = answer.line();
        Self { answer: Some(answer), reply: Some(reply), ..Self::said(Protocol::Http, evidence) }
    }

    /// It begins as HTTP does and is none.
    fn broken(reply: Reply) -> Self {
        let evidence = format!("a broken HTTP answer: {}", preview(&reply.bytes));
        Self { reply: Some(reply), ..Self::said(Protocol::Http, evidence) }
    }

    /// Whether the port speaks `protocol`, first or also.
    pub(crate) fn speaks(&self, protocol: Protocol) -> bool {
        self.protocol == Some(protocol) || self.also.contains(&protocol)
    }
}

/// Finds out what is spoken at an address that accepts connections.
pub(crate) async fn listen_and_speak(ask: &Ask) -> Spoken {
    let (dial, stream) = open(ask.address, TRY).await;
    let Some(mut stream) = stream else {
        let end = if dial.dialed == Dialed::Reset { End::Reset } else { End::Closed };
        return Spoken::nothing(end, dial.line());
    };
    let banner = exchange(&mut stream, &[], BANNER).await;
    match banner.end {
        End::Closed => return Spoken::nothing(End::Closed, "it closed at once".to_owned()),
        End::Reset => return Spoken::nothing(End::Reset, "it reset the connection".to_owned()),
        End::Answered => {
            let protocol = recognise(&banner.bytes).unwrap_or(Protocol::Unknown);
            let evidence = format!("it spoke first: {}", preview(&banner.bytes));
            return Spoken::said(protocol, evidence);
        }
        End::Silent => {}
    }
    match ask.scheme {
        Some(Scheme::Https | Scheme::Wss) => secure(ask, stream).await,
        Some(Scheme::Tcp) => lines(ask, stream, LINE).await,
        Some(Scheme::Mcp) => lines(ask, stream, GREETING).await,
        Some(Scheme::Http | Scheme::Ws) | None => plain(ask, stream).await,
    }
}

async fn plain(ask: &Ask, mut stream: TcpStream) -> Spoken {
    let reply = exchange(&mut stream, &get(&ask.host, &ask.path), ANSWER).await;
    if let Some(answer) = Answer::read(&reply, &ask.path) {
        if answer.wants_tls() {
            let evidence = answer.line();
            let mut spoken = reconnect_secure(ask).await;
            spoken.evidence.insert(0, evidence);
            return spoken;
        }
        return with_more(ask, Spoken::answered(answer, reply)).await;
    }
    match recognise(&reply.bytes) {
        Some(Protocol::Tls) => reconnect_secure(ask).await,
        Some(Protocol::Http) => Spoken::broken(reply),
        Some(protocol) => {
            let evidence = format!("it answered GET with {}", preview(&reply.bytes));
            Spoken::said(protocol, evidence)
        }
        None if reply.end == End::Silent => {
            let patient = wait_on(&mut stream, ANSWER, PATIENCE);
            let (spoken, late) = tokio::join!(other_tongues(ask, &reply), patient);
            match Answer::read(&late, &ask.path) {
                // An answer to GET says more than bytes that nobody knows.
                Some(answer) if matches!(spoken.protocol, None | Some(Protocol::Unknown)) => {
                    Spoken::answered(answer, late)
                }
                _ => spoken,
            }
        }
        None => other_tongues(ask, &reply).await,
    }
}

/// Looks for what else an HTTP server speaks; only our own is asked with lines that are not HTTP.
async fn with_more(ask: &Ask, mut spoken: Spoken) -> Spoken {
    let is_ours = spoken.answer.as_ref().is_some_and(Answer::is_rapport);
    let upgrade = upgrade(&ask.host, &ask.path);
    let websocket = asked(ask, &upgrade, TRY);
    let line = async { if is_ours { Some(asked(ask, LINE, TRY).await) } else { None } };
    let greeting = async { if is_ours { Some(asked(ask, GREETING, TRY).await) } else { None } };
    let (websocket, line, greeting) = tokio::join!(websocket, line, greeting);
    if let Some(answer) = Answer::read(&websocket, &ask.path) {
        if answer.status == 101 {
            spoken.also.push(Protocol::WebSocket);
        } else if matches!(ask.scheme, Some(Scheme::Ws)) {
            spoken.evidence.push(format!("the WebSocket upgrade gave HTTP {}", answer.status));
            spoken.upgrade = Some(Box::new(answer));
        }
    }
    for reply in [line, greeting].into_iter().flatten() {
        if let Some(protocol @ (Protocol::JsonLines | Protocol::Mcp)) = recognise(&reply.bytes)
            && !spoken.also.contains(&protocol)
        {
            spoken.also.push(protocol);
        }
    }
    spoken
}

async fn reconnect_secure(ask: &Ask) -> Spoken {
    match open(ask.address, TRY).await {
        (_, Some(stream)) => secure(ask, stream).await,
        (dial, None) => Spoken::nothing(End::Closed, dial.line()),
    }
}

/// Speaks TLS, then HTTP inside it; plain HTTP when the port knows no TLS.
async fn secure(ask: &Ask, stream: TcpStream) -> Spoken {
    match handshake(stream, &ask.peer, ANSWER).await {
        Handshake::Done(mut stream, secured) => {
            let reply = exchange(&mut *stream, &get(&ask.host, &ask.path), ANSWER).await;
            let evidence = format!("{} handshake completed", secured.version);
            let mut spoken = Spoken { end: reply.end, ..Spoken::said(Protocol::Tls, evidence) };
            spoken.tls = Some(secured);
            spoken.answer = Answer::read(&reply, &ask.path);
            spoken.reply = reply.looks_like_http().then_some(reply);
            if let Some(answer) = &spoken.answer {
                spoken.also.push(Protocol::Http);
                spoken.evidence.push(answer.line());
            }
            spoken
        }
        // This alert is also what a server without TLS can say so that a TLS client reads it.
        Handshake::Refused(refusal) if refusal.is_version => {
            let plain = not_tls(ask, format!("TLS failed: {}", refusal.alert)).await;
            // A server of TLS tells who speaks in the clear to go away with this status.
            let is_plain = plain.answer.as_ref().is_some_and(|answer| answer.status != 400);
            if is_plain { plain } else { Spoken::refused(refusal) }
        }
        Handshake::Refused(refusal) => Spoken::refused(refusal),
        Handshake::NotTls(reason) => not_tls(ask, format!("TLS failed: {reason}")).await,
        Handshake::Silent => not_tls(ask, "no answer to a TLS greeting".to_owned()).await,
    }
}

async fn not_tls(ask: &Ask, evidence: String) -> Spoken {
    let reply = asked(ask, &get(&ask.host, &ask.path), TRY).await;
    let mut spoken = match (Answer::read(&reply, &ask.path), recognise(&reply.bytes)) {
        (Some(answer), _) => Spoken::answered(answer, reply.clone()),
        (None, Some(protocol)) => {
            let evidence = format!("it answered GET with {}", preview(&reply.bytes));
            Spoken::said(protocol, evidence)
        }
        (None, None) => Spoken::nothing(reply.end, "no answer to GET".to_owned()),
    };
    spoken.evidence.insert(0, evidence);
    spoken
}

/// Asks with a line, then with HTTP when the line was not understood.
async fn lines(ask: &Ask, mut stream: TcpStream, line: &[u8]) -> Spoken {
    let reply = exchange(&mut stream, line, TRY).await;
    drop(stream);
    let said = recognise(&reply.bytes);
    match said {
        // A web server may answer a line with a page and no status line: HTTP says what it is.
        Some(Protocol::Http | Protocol::Unknown) | None => {}
        Some(protocol) => return Spoken::said(protocol, to_line(&reply)),
    }
    let asked_plain = asked(ask, &get(&ask.host, &ask.path), ANSWER).await;
    match (Answer::read(&asked_plain, &ask.path), said) {
        (Some(answer), _) => Spoken::answered(answer, asked_plain),
        (None, Some(Protocol::Unknown)) => Spoken::said(Protocol::Unknown, to_line(&reply)),
        (None, _) => other_tongues(ask, &reply).await,
    }
}

fn to_line(reply: &Reply) -> String {
    format!("it answered a line with {}", preview(&reply.bytes))
}

/// The last tries for a port that gave no byte to HTTP.
async fn other_tongues(ask: &Ask, first: &Reply) -> Spoken {
    let secure = async {
        match open(ask.address, TRY).await.1 {
            Some(stream) => handshake(stream, &ask.peer, TRY).await,
            None => Handshake::Silent,
        }
    };
    let (tls, line, redis, postgres) = tokio::join!(
        secure,
        asked(ask, LINE, TRY),
        asked(ask, b"PING\r\n", TRY),
        asked(ask, SSL_REQUEST, TRY)
    );
    if let Handshake::Done(_, secured) = tls {
        let evidence = format!("it gave no answer to plain HTTP, and {} worked", secured.version);
        return Spoken { tls: Some(secured), ..Spoken::said(Protocol::Tls, evidence) };
    }
    if let Handshake::Refused(refusal) = tls {
        return Spoken::refused(refusal);
    }
    if matches!(postgres.bytes.as_slice(), b"S" | b"N") {
        let evidence = "it answered a PostgreSQL greeting".to_owned();
        return Spoken::said(Protocol::Postgres, evidence);
    }
    for reply in [&redis, &line] {
        if let Some(protocol) = recognise(&reply.bytes) {
            return Spoken::said(protocol, to_line(reply));
        }
    }
    let evidence = match first.end {
        End::Closed => "it closes the connection after a request, without a byte",
        End::Reset => "it resets the connection after a request",
        End::Silent | End::Answered => "no byte came back, to HTTP, TLS or a line of text",
    };
    Spoken::nothing(first.end, evidence.to_owned())
}

async fn asked(ask: &Ask, question: &[u8], limit: Duration) -> Reply {
    match open(ask.address, TRY).await.1 {
        Some(mut stream) => exchange(&mut stream, question, limit).await,
        None => Reply::none(),
    }
}
