//! Requests of every kind, as callers of the lane write them.

use serde_json::json;

use crate::lane::{Replace as _, post, question};

/// Requests of every kind.
pub(crate) fn requests() -> Vec<Vec<u8>> {
    let hello = "[{\"role\":\"user\",\"content\":\"hello\"}]";
    let mut all = Vec::new();
    for model in ["one-m", "two-m", "demo", "nobody"] {
        for stream in [false, true] {
            let question = question(model, stream);
            for path in ["/v1/messages", "/v1/chat/completions", "/api/chat", "/v2/chat"] {
                all.push(post(path, "", &question));
            }
            let input = json!({"model": model, "input": "hello", "prompt": "hello",
                               "stream": stream, "store": false})
            .to_string();
            for path in ["/v1/completions", "/v1/embeddings", "/api/generate", "/api/embed"] {
                all.push(post(path, "", &input));
            }
        }
    }
    for model in ["one-m", "two-m", "demo", "nobody", "one/a-b", "two/x", ""] {
        let parts = json!([{"text": "hello"}]);
        let body = json!({"contents": [{"role": "user", "parts": parts}],
                          "content": {"parts": parts}})
        .to_string();
        for method in [
            "generateContent",
            "streamGenerateContent",
            "streamGenerateContent?alt=sse",
            "countTokens",
            "embedContent?key=k",
        ] {
            all.push(post(&format!("/v1beta/models/{model}:{method}"), "", &body));
            all.push(post(&format!("/v1/models/{model}:{method}"), "", &body));
        }
    }
    let good = question("one-m", false);
    for more in [
        "Origin: https://evil.example\r\n",
        "Origin: http://localhost\r\n",
        "Authorization: Basic eA==\r\n",
        "X-Rapport-Api-Version: 7\r\n",
        "Anthropic-Version: 1999-01-01\r\n",
        "X-Rapport-Cache: perhaps\r\n",
    ] {
        all.push(post("/v1/messages", more, &good));
        all.push(post("/v1/chat/completions?x=y", more, &good));
    }
    for body in ["", "{", "[]", "\u{feff}{}", "{\"model\":7}", "{\"messages\":7}", "null"] {
        for path in ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/embeddings"] {
            all.push(post(path, "", body));
        }
    }
    all.push(post("/v1/messages", "", &good).replace(b"application/json", b"text/plain"));
    all.push(post("/v1/messages", "", &good).replace(b"Host: localhost", b"Host: evil.example"));
    all.push(post("/v1/messages", "", &format!("{{\"model\":\"one-m\",\"messages\":{hello}}}")));
    all.push(post("/v1/messages", "", &format!("{{\"x\":\"{}\"}}", "x".repeat(500_000))));
    all
}
