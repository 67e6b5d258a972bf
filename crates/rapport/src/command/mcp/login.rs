//! `rapport mcp login|logout`: a person agrees in a browser that the server may use a joined one.
//!
//! The server asks and keeps; the command only shows the address and brings the answer back: by a
//! listener on this machine, or by hand where the browser is on another.

use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::reach::Client;
use super::super::table::cell;
use super::Frame;
use crate::remote::{Ask, Class, Failure, PathOf};

/// Limit: the first lines of what a browser sends.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Limit: how long a connection may take to say what it wants.
const SAYS: Duration = Duration::from_secs(10);
/// The path that the browser is sent back to.
const PATH: &str = "/callback";
/// What the browser shows in the end.
const PAGE: &str = "<!doctype html><meta charset=utf-8><title>Rapport</title>\
                    <p>The answer has arrived. You can close this page; the terminal says what \
                    came of it.</p>";

/// Flags of `mcp login`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Login {
    /// The server's name
    name: String,
    /// Open no browser, only show the address
    #[arg(long)]
    no_browser: bool,
    /// Listen here for the answer, where the authorization server wants a port that it knows
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    redirect_port: u16,
}

/// Logs the server in at a joined one.
pub(super) async fn login(
    client: &mut Client<'_>,
    login: &Login,
    screen: bool,
) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| {
        let text = format!("port `{}` cannot be listened on: {error}", login.redirect_port);
        Failure::new(Class::Usage, text).hint("leave `--redirect-port` out to take a free one")
    };
    let listener = TcpListener::bind(("127.0.0.1", login.redirect_port)).await.map_err(wrong)?;
    let port = listener.local_addr().map_err(wrong)?.port();
    let redirect = format!("http://127.0.0.1:{port}{PATH}");
    let path = || PathOf::new("/api/v1/mcp/servers").then(&login.name).then("login");
    let begun = client.server.json(&Ask::post(path(), &json!({"redirect_uri": redirect}))).await?;
    let Some(address) = begun.value.get("authorization_url").and_then(Value::as_str) else {
        shown(client, &login.name, None);
        return Ok(());
    };
    client.printer.note(&format!("visit this address to log in to `{}`:", login.name));
    client.printer.note(address);
    if screen && !login.no_browser {
        open(address);
    }
    client.printer.note(
        "if the browser is on another machine, its last page does not load: paste its address here",
    );
    let seconds = begun.value.get("expires_in").and_then(Value::as_u64).unwrap_or(600);
    let waited = tokio::time::timeout(Duration::from_secs(seconds), async {
        let mut answers = Answers::new(listener, redirect);
        loop {
            let answer = answers.next().await;
            let body = json!({"address": answer});
            match client.server.json(&Ask::post(path().then("answer"), &body)).await {
                // Something else came by; the right answer may still come.
                Err(failure) if failure.code() == Some("invalid_input") => {
                    client.printer.warn(&failure.to_string());
                }
                other => return other,
            }
        }
    });
    let reply = waited.await.unwrap_or_else(|_late| {
        let text = format!("nobody agreed within {} minutes", seconds / 60);
        Err(Failure::new(Class::Timeout, text).hint("run it again"))
    })?;
    shown(client, &login.name, Some(&reply.raw));
    Ok(())
}

fn shown(client: &mut Client<'_>, name: &str, raw: Option<&[u8]>) {
    match raw {
        Some(raw) if client.is_json() => client.raw(raw),
        None if client.is_json() => client.raw(json!({"logged_in": name}).to_string().as_bytes()),
        _ => client.printer.line(&format!("logged in to `{name}`")),
    }
}

/// Logs the server out of a joined one.
pub(super) async fn logout(client: &mut Client<'_>, name: &str) -> Result<(), Failure> {
    let path = PathOf::new("/api/v1/mcp/servers").then(name).then("login");
    let reply = client.server.json(&Ask::delete(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    if reply.value.get("was_logged_in") == Some(&Value::Bool(false)) {
        client.printer.line(&format!("`{name}` was not logged in"));
        return Ok(());
    }
    client.printer.line(&format!("logged out of `{name}`"));
    let warning = cell(&reply.value, "/warning");
    if !warning.is_empty() {
        client.printer.warn(&format!("its tokens are forgotten here, not taken back: {warning}"));
    }
    Ok(())
}

/// Whether somebody sees a window here.
pub(super) fn has_screen(frame: &Frame) -> bool {
    let named = |name| frame.env.get(name).is_some();
    cfg!(any(windows, target_os = "macos")) || named("DISPLAY") || named("WAYLAND_DISPLAY")
}

/// Opens a browser, if there is one. The address is an argument of its own and no shell reads it.
fn open(address: &str) {
    if !(address.starts_with("https://") || address.starts_with("http://")) {
        return;
    }
    let (program, first) = if cfg!(target_os = "macos") {
        ("open", None)
    } else if cfg!(windows) {
        ("rundll32", Some("url.dll,FileProtocolHandler"))
    } else {
        ("xdg-open", None)
    };
    let mut command = std::process::Command::new(program);
    command.args(first).arg(address);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        tracing::debug!("no browser opens: {error}");
    }
}

/// What comes back: from the browser, or typed in.
struct Answers {
    listener: TcpListener,
    redirect: String,
    typed: Option<mpsc::Receiver<String>>,
}

impl Answers {
    fn new(listener: TcpListener, redirect: String) -> Self {
        let (send, typed) = mpsc::channel(1);
        // A thread of its own: nothing waits for a line that nobody types any more.
        std::thread::spawn(move || {
            for line in std::io::stdin().lines().map_while(Result::ok) {
                if send.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self { listener, redirect, typed: Some(typed) }
    }

    /// The next address that may be the answer.
    async fn next(&mut self) -> String {
        let mut visits = FuturesUnordered::new();
        loop {
            let typed = async {
                match &mut self.typed {
                    Some(lines) => lines.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                accepted = self.listener.accept() => {
                    // Some browsers connect before they have anything to say.
                    visits.extend(accepted.ok().map(|(stream, _)| visit(stream)));
                }
                Some(Some(query)) = visits.next(), if !visits.is_empty() => {
                    return format!("{}?{query}", self.redirect);
                }
                line = typed => match line {
                    Some(line) if line.trim().is_empty() => {}
                    Some(line) => return line.trim().to_owned(),
                    // Nobody types here.
                    None => self.typed = None,
                }
            }
        }
    }
}

/// What a browser brings, if it visits the right place.
async fn visit(mut stream: TcpStream) -> Option<String> {
    let visited = async {
        let mut head = Vec::new();
        let mut piece = [0; 2048];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let length = stream.read(&mut piece).await.ok().filter(|length| *length > 0)?;
            head.extend_from_slice(piece.get(..length)?);
            if head.len() > HEAD_BYTES_MAX {
                return None;
            }
        }
        let query = queried(&String::from_utf8_lossy(&head)).map(ToOwned::to_owned);
        let (status, page) = match &query {
            Some(_) => ("200 OK", PAGE),
            None => ("404 Not Found", ""),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n\
             {page}",
            page.len()
        );
        drop(stream.write_all(answer.as_bytes()).await);
        drop(stream.shutdown().await);
        query
    };
    tokio::time::timeout(SAYS, visited).await.ok().flatten()
}

/// The query of a request for our path.
fn queried(head: &str) -> Option<&str> {
    let target = head.strip_prefix("GET ")?.split(' ').next()?;
    target.strip_prefix(PATH)?.strip_prefix('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_visit_of_the_right_place_brings_an_answer() {
        assert_eq!(queried("GET /callback?code=a&state=b HTTP/1.1\r\n"), Some("code=a&state=b"));
        for other in
            ["GET /favicon.ico HTTP/1.1", "POST /callback?code=a HTTP/1.1", "GET /callback", ""]
        {
            assert_eq!(queried(other), None, "{other}");
        }
    }
}
