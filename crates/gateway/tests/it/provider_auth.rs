//! Every dialect has upstreams, addressed, signed and read as its servers want it; tokens are
//! bought once.

use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::{Router, body};
use gateway::provider::{AuthKind, Providers};
use gateway::settings::{KeySettings, ProviderSettings, Secret};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::provider::{models, prompt, row, upstream_of};

/// One request as it came: method, path with its query, headers, body.
#[derive(Clone, Debug)]
struct Seen {
    path: String,
    authorization: String,
    headers: http::HeaderMap,
    body: String,
}

/// A server that answers every path by `answer` and remembers what it was asked.
async fn server(answer: fn(&str) -> (&'static str, String)) -> (String, Arc<Mutex<Vec<Seen>>>) {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::clone(&seen);
    let app = Router::new().fallback(move |request: Request| {
        let kept = Arc::clone(&kept);
        async move { take(request, &kept, answer).await }
    });
    tokio::task::spawn_local(async move { axum::serve(listener, app).await });
    (url, seen)
}

async fn take(
    request: Request,
    kept: &Mutex<Vec<Seen>>,
    answer: fn(&str) -> (&'static str, String),
) -> Response {
    let (head, body) = request.into_parts();
    let body = body::to_bytes(body, 1 << 20).await.unwrap();
    let path = head.uri.path_and_query().unwrap().to_string();
    let authorization = head.headers.get("authorization").map(|v| v.to_str().unwrap().to_owned());
    let (kind, text) = answer(&path);
    kept.lock().unwrap().push(Seen {
        path,
        authorization: authorization.unwrap_or_default(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    ([(CONTENT_TYPE, kind)], text).into_response()
}

const JSON: &str = "application/json";

fn gemini() -> String {
    json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Paris."}]},
                        "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2},
    })
    .to_string()
}

fn answers(path: &str) -> (&'static str, String) {
    if path.starts_with("/token") {
        let token = json!({"access_token": "ya29.secret", "expires_in": 3600});
        return (JSON, token.to_string());
    }
    if path.contains("alt=sse") {
        return ("text/event-stream", format!("data: {}\n\n", gemini()));
    }
    if path.contains(":generateContent") {
        return (JSON, gemini());
    }
    if path.starts_with("/api/chat") {
        let message = json!({"model": "m-1", "message": {"role": "assistant", "content": "Paris."},
                             "done": true, "done_reason": "stop", "eval_count": 2});
        return ("application/x-ndjson", format!("{message}\n"));
    }
    if path.ends_with("/responses") {
        let content = json!([{"type": "output_text", "text": "Paris.", "annotations": []}]);
        let item = json!({"type": "message", "id": "m", "role": "assistant",
                          "status": "completed", "content": content});
        let reply = json!({"id": "r", "object": "response", "status": "completed", "model": "m-1",
                           "output": [item], "usage": {"input_tokens": 5, "output_tokens": 2}});
        return (JSON, reply.to_string());
    }
    if path.ends_with("/v1/completions") {
        let choice = json!({"index": 0, "text": "Paris.", "finish_reason": "stop"});
        return (JSON, json!({"id": "c", "model": "m-1", "choices": [choice]}).to_string());
    }
    let message = json!({"role": "assistant", "content": "Paris."});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    (JSON, json!({"id": "c", "model": "m-1", "choices": [choice]}).to_string())
}

/// Runs `work` where tasks may be spawned that end with it.
async fn locally(work: impl Future<Output = ()>) {
    tokio::task::LocalSet::new().run_until(work).await;
}

#[tokio::test]
async fn an_upstream_of_every_dialect_is_asked_at_its_own_path() {
    locally(async {
        for (dialect, path) in [
            ("gemini", "/v1beta/models/m-1:generateContent"),
            ("openai_responses", "/v1/responses"),
            ("openai_completions", "/v1/completions"),
        ] {
            let (url, seen) = server(answers).await;
            let upstream = upstream_of(&models(row(dialect, &url)));
            let reply = upstream.send(&prompt("The capital of France?")).await.unwrap();
            assert_eq!(reply.message.plain(), "Paris.", "{dialect}");
            assert_eq!(seen.lock().unwrap()[0].path, path, "{dialect}");
        }
    })
    .await;
}

#[tokio::test]
async fn lines_of_json_and_events_are_read_as_streams() {
    locally(async {
        for (dialect, path) in [
            ("gemini", "/v1beta/models/m-1:streamGenerateContent?alt=sse"),
            ("ollama_chat", "/api/chat"),
        ] {
            let (url, seen) = server(answers).await;
            let upstream = upstream_of(&models(row(dialect, &url)));
            let (send, mut events) = tokio::sync::mpsc::channel(64);
            let reply = upstream.stream(&prompt("The capital?"), send).await.unwrap();
            assert_eq!(reply.message.plain(), "Paris.", "{dialect}");
            assert!(events.recv().await.is_some(), "{dialect}");
            assert_eq!(seen.lock().unwrap()[0].path, path, "{dialect}");
        }
    })
    .await;
}

fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("-----BEGIN PRIVATE KEY-----\n");
    for chunk in der.chunks(3) {
        let byte = |at: usize| usize::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = char::from(ALPHABET[(bits >> (18 - 6 * at)) & 63]);
            out.push(if at > chunk.len() { '=' } else { letter });
        }
    }
    out + "\n-----END PRIVATE KEY-----\n"
}

#[tokio::test]
async fn a_service_account_buys_one_token_for_many_calls() {
    locally(async {
        let (url, seen) = server(answers).await;
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let account = json!({"client_email": "robot@p", "private_key": pem(der.as_ref()),
                             "project_id": "proj", "token_uri": format!("{url}/token")});
        let known = Providers::embedded().find("vertex").unwrap();
        let settings = ProviderSettings {
            base_url: url,
            region: Some("europe-west4".to_owned()),
            models: vec!["m-1".to_owned()],
            keys: vec![KeySettings::new(Secret::new(account.to_string()), "a test")],
            ..ProviderSettings::of(known)
        };
        let upstream = upstream_of(&models(settings));
        let question = prompt("The capital of France?");
        let (one, two) = tokio::join!(upstream.send(&question), upstream.send(&question));
        assert_eq!(one.unwrap().message.plain(), two.unwrap().message.plain());
        let seen = seen.lock().unwrap().clone();
        let tokens = seen.iter().filter(|request| request.path == "/token").count();
        assert_eq!((seen.len(), tokens), (3, 1), "{seen:?}");
        assert!(seen[0].body.starts_with("grant_type=urn"));
        assert!(seen[1].path.starts_with("/v1/projects/proj/locations/europe-west4/"), "{seen:?}");
        assert_eq!(seen[1].authorization, "Bearer ya29.secret");
        assert!(!format!("{upstream:?}").contains("PRIVATE"));
    })
    .await;
}

#[tokio::test]
async fn each_call_to_aws_is_signed_and_azure_names_its_deployment() {
    locally(async {
        let (url, seen) = server(answers).await;
        let signed = ProviderSettings {
            auth: AuthKind::Sigv4,
            region: Some("us-east-1".to_owned()),
            keys: vec![KeySettings::new(Secret::new("AKID:secret-of-aws"), "a test")],
            ..row("openai_chat", &url)
        };
        upstream_of(&models(signed)).send(&prompt("?")).await.unwrap();
        let azure = ProviderSettings { auth: AuthKind::Azure, ..row("openai_chat", &url) };
        upstream_of(&models(azure)).send(&prompt("?")).await.unwrap();
        let seen = seen.lock().unwrap().clone();
        let start = "AWS4-HMAC-SHA256 Credential=AKID/";
        assert!(seen[0].authorization.starts_with(start), "{}", seen[0].authorization);
        assert!(!format!("{:?}", seen[0]).contains("secret-of-aws"));
        assert_eq!(seen[1].headers["api-key"], crate::provider::KEY);
        let path = "/openai/deployments/m-1/chat/completions?api-version=2024-10-21";
        assert_eq!(seen[1].path, path);
    })
    .await;
}

#[tokio::test]
async fn quirks_count_at_the_companys_own_address_only() {
    locally(async {
        let (url, seen) = server(answers).await;
        let mut question = prompt("?");
        question.knobs.max_tokens = Some(9);
        // At the address of somebody else who goes by the name.
        let mine = ProviderSettings {
            models: vec!["m-1".to_owned()],
            ..ProviderSettings::new("openai", "openai_chat", &url)
        };
        upstream_of(&models(mine)).send(&question).await.unwrap();
        let body =
            |at: usize| -> Value { serde_json::from_str(&seen.lock().unwrap()[at].body).unwrap() };
        assert_eq!(body(0)["max_tokens"], 9);
        let mut own = ProviderSettings::new("openai", "openai_chat", &url);
        let mut known = (*own.row).clone();
        known.base_url.clone_from(&url);
        own.row = Arc::new(known);
        own.models = vec!["m-1".to_owned()];
        own.keys = vec![KeySettings::new(Secret::new("sk-secret-1"), "a test")];
        upstream_of(&models(own)).send(&question).await.unwrap();
        assert_eq!(body(1)["max_completion_tokens"], 9);
        assert_eq!(body(1).get("max_tokens"), None);
    })
    .await;
}
