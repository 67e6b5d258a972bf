//! One attempt: look the name up, check every address, connect to one that is allowed, sign, send.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use context::DueDelivery;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::site::{self, Leave, Site};
use crate::client::Tls;
use crate::settings::Settings;

/// Sends an event; the status of the answer, or why there is none.
pub(super) async fn send(settings: &Settings, due: &DueDelivery) -> Result<StatusCode, String> {
    let site = site::parse(&due.url)?;
    let leave = Leave { private: settings.hooks.private, key: "webhooks.private" };
    let address = site::look_up(&site, leave, settings.local_only).await?;
    let request = signed(&site, due)?;
    let tcp = TcpStream::connect(address).await.map_err(|e| format!("no connection: {e}"))?;
    if !site.https {
        return exchange(tcp, request).await;
    }
    let tls = Tls::default().handshake_http1(tcp, &site.host).await;
    exchange(tls.map_err(|e| format!("TLS failed: {e}"))?, request).await
}

/// The request with the headers of Standard Webhooks.
fn signed(site: &Site, due: &DueDelivery) -> Result<Request<Full<Bytes>>, String> {
    let at = jiff::Timestamp::now().as_second().to_string();
    let delivery = &due.delivery;
    let signature = sign(due.secret.expose(), &delivery.id, &at, &delivery.body);
    let host = match (site.host.contains(':'), site.port) {
        (true, port) => format!("[{}]:{port}", site.host),
        (false, 80) if !site.https => site.host.clone(),
        (false, 443) if site.https => site.host.clone(),
        (false, port) => format!("{}:{port}", site.host),
    };
    Request::post(&site.target)
        .header("host", host)
        .header("content-type", "application/json")
        .header("user-agent", concat!("rapport/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", &delivery.id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", signature)
        .body(Full::new(Bytes::from(delivery.body.clone())))
        .map_err(|error| error.to_string())
}

/// `v1,` and the HMAC-SHA-256 of `id.timestamp.body` as base64.
fn sign(secret: &[u8], id: &str, at: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    for part in [id, ".", at, ".", body] {
        context.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(context.sign()))
}

/// Sends the request and reads the head of the answer; its body is nobody's business.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    tokio::pin!(connection);
    tokio::select! {
        answer = &mut answer => answer.map(|answer| answer.status()).map_err(|e| e.to_string()),
        ended = &mut connection => {
            let over = || "the connection ended".to_owned();
            let why = ended.err().map_or_else(over, |e| e.to_string());
            // The answer may have come with the end.
            match futures_util::FutureExt::now_or_never(answer) {
                Some(Ok(answer)) => Ok(answer.status()),
                _ => Err(why),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // The example of the specification of Standard Webhooks.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = "{\"test\": 2432232314}";
        let signed = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
