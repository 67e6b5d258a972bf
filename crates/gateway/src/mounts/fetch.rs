//! One question to the origin of a mount: a range of its log.

use context::{LogRange, RANGE_ENTRIES_MAX, Signed};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::client::Tls;
use crate::hooks::site::{self, Leave, Site};
use crate::settings::Settings;

/// Limit: bytes of one answer. A message has 32 MiB at most, each byte of it six in JSON.
const ANSWER_BYTES_MAX: usize = 200 * 1024 * 1024;

/// Limit: characters of an origin's error that are told.
const ERROR_CHARACTERS_MAX: usize = 300;

/// What an origin answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// A range, not yet proven.
    Range(Box<LogRange>),
    /// The token opens nothing any more; not yet proven either.
    Refusal(Signed),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It could not be reached, or is not itself.
    Away(String),
    /// It answered what no origin answers.
    Odd(String),
}

/// The error object of an origin, as far as it matters here.
#[derive(Deserialize)]
struct Problem {
    error: Option<String>,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    refusal: Option<Signed>,
}

/// Asks for the entries behind `after`; the whole question takes no longer than is allowed.
pub(super) async fn range(
    settings: &Settings,
    (url, token): (&str, &str),
    after: u32,
    nonce: &str,
) -> Result<Answer, Trouble> {
    let within = settings.mounts.within;
    let asked = tokio::time::timeout(within, ask(settings, (url, token), after, nonce)).await;
    let late = || format!("there was no whole answer within {} s", within.as_secs_f32());
    let (status, body) = asked.map_err(|_late| Trouble::Away(late()))?.map_err(Trouble::Away)?;
    if status == StatusCode::OK {
        let read = serde_json::from_slice::<LogRange>(&body);
        let odd = |error| Trouble::Odd(format!("its answer is no range of a log: {error}"));
        return read.map(|range| Answer::Range(Box::new(range))).map_err(odd);
    }
    let problem = serde_json::from_slice::<Problem>(&body).ok();
    let (error, details) = problem.map_or((None, None), |found| (found.error, found.details));
    if let Some(refusal) = details.and_then(|details| details.refusal) {
        return Ok(Answer::Refusal(refusal));
    }
    Err(Trouble::Away(match (status, error) {
        (status, _) if status.is_redirection() => {
            format!("it answered {status}: redirects are not followed")
        }
        (StatusCode::NOT_FOUND, None) => {
            format!("it answered {status}: it is no Rapport, or an older one")
        }
        (status, Some(error)) => {
            let error: String = error.chars().take(ERROR_CHARACTERS_MAX).collect();
            format!("it answered {status}: {}", error.escape_debug())
        }
        (status, None) => format!("it answered {status}"),
    }))
}

async fn ask(
    settings: &Settings,
    (url, token): (&str, &str),
    after: u32,
    nonce: &str,
) -> Result<(StatusCode, Bytes), String> {
    let site = site::parse(url)?;
    let leave = Leave { private: settings.mounts.private, key: super::LEAVE };
    let address = site::look_up(&site, leave, settings.local_only).await?;
    let request = question(&site, token, after, nonce)?;
    let tcp = TcpStream::connect(address).await.map_err(|e| format!("no connection: {e}"))?;
    if !site.https {
        return exchange(tcp, request).await;
    }
    let tls = Tls::default().handshake_http1(tcp, &site.host).await;
    exchange(tls.map_err(|e| format!("TLS failed: {e}"))?, request).await
}

fn question(
    site: &Site,
    token: &str,
    after: u32,
    nonce: &str,
) -> Result<Request<Empty<Bytes>>, String> {
    let base = site.target.split('?').next().unwrap_or_default().trim_end_matches('/');
    let path = format!(
        "{base}/api/v1/shared/ranges?after={after}&limit={RANGE_ENTRIES_MAX}&nonce={nonce}"
    );
    let host = match (site.host.contains(':'), site.port) {
        (true, port) => format!("[{}]:{port}", site.host),
        (false, 443) if site.https => site.host.clone(),
        (false, port) => format!("{}:{port}", site.host),
    };
    let mut secret = http::HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_token| "the token of its share is none".to_owned())?;
    secret.set_sensitive(true);
    Request::get(path)
        .header("host", host)
        .header("accept", "application/json")
        .header("authorization", secret)
        .header("user-agent", concat!("rapport/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|error| error.to_string())
}

/// Sends the question and reads the whole answer, on a connection of its own.
async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((status, body.map_err(|e| format!("its answer broke off: {e}"))?.to_bytes()))
    };
    tokio::pin!(answer);
    tokio::pin!(connection);
    let mut ended = false;
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            // What was read is still handed out after the end.
            _end = &mut connection, if !ended => ended = true,
        }
    }
}
