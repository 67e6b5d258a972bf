//! HTTP answers that are wrong in their status, their body or their bytes.

use std::io::Write;

use super::servers::{read_some, serve};
use super::switch::{Switch, http, json};
use super::{broken, fix, request, well};

/// What a server answers, the verdict, a piece of the evidence, and words of the fix.
type Case = (Vec<u8>, &'static str, &'static str, &'static str);

/// Each answer is broken as it should be, and a good answer in its place is well.
async fn each(path: &str, cases: Vec<Case>) {
    for (bad, id, evidence, words) in cases {
        let server = Switch::new(bad);
        let report = broken(&request(&server.url(path)), id, evidence).await;
        fix(&report, words);
        server.mend(json("200 OK", "{\"data\":[]}"));
        well(&request(&server.url(path))).await;
    }
}

fn error(status: &str, message: &str) -> Vec<u8> {
    json(status, format!("{{\"error\":{{\"message\":\"{message}\"}}}}"))
}

#[tokio::test]
async fn a_refusal_names_what_is_missing() {
    let cases = vec![
        (error("401 Unauthorized", "no key"), "auth.missing", "no key", "Authorization"),
        (error("401 No", "invalid x-api-key"), "auth.invalid_key", "refuses the key", "x-api-key"),
        (error("401 No", "token expired"), "auth.token_expired", "expired", "new token"),
        (error("401 No", "token is not yet valid"), "auth.clock_skew", "two clocks", "timedatectl"),
        (error("402 Payment Required", "pay"), "llm.quota", "no credit", "add credit"),
        (error("403 No", "not for your key"), "auth.forbidden", "not for", "permission"),
        (http("403 No", "", "Invalid Host header"), "http.host_rejected", "host", "127.0.0.1"),
        (http("421 Misdirected", "", ""), "http.host_rejected", "host", "127.0.0.1"),
        (error("429 No", "insufficient_quota"), "llm.quota", "insufficient", "provider"),
        (
            http("429 No", "Retry-After: 20\r\n", ""),
            "llm.rate_limited",
            "limits how often",
            "wait 20 s",
        ),
    ];
    each("/v1/models", cases).await;
}

#[tokio::test]
async fn a_request_that_is_called_wrong_is_told_why() {
    let fields = "{\"detail\":[{\"loc\":[\"body\",\"model\"],\"msg\":\"Field required\"}]}";
    let cases = vec![
        (error("400 Bad", "messages: field required"), "http.400", "field required", "compare"),
        (error("400 Bad", "maximum context length is 8192"), "llm.context_length", "8192", "short"),
        (http("405 No", "Allow: POST\r\n", ""), "http.405", "GET", "use POST"),
        (http("411 Length Required", "", ""), "http.411", "length", "Content-Length"),
        (http("413 Too Large", "", ""), "http.413", "larger", "client_max_body_size"),
        (http("415 Unsupported", "", ""), "http.415", "content type", "application/json"),
        (json("422 No", fields), "http.422", "body.model: Field required", "field"),
        (http("431 Too Large", "", ""), "http.431", "headers", "cookies"),
        (error("404 No", "model 'llama3.9' not found"), "llm.model_missing", "llama3.9", "pull"),
    ];
    each("/v1/models", cases).await;
}

#[tokio::test]
async fn a_failure_is_the_servers_or_of_what_stands_behind_it() {
    let cases = vec![
        (http("500 Oops", "", "Traceback"), "http.500", "Traceback", "log"),
        (http("501 Not Implemented", "", ""), "http.501", "method", "port of the API"),
        (error("503 No", "Loading model"), "llm.loading", "loads its model", "try again"),
        (http("503 No", "Retry-After: 5\r\n", ""), "http.503", "overloaded", "after 5 s"),
        (error("529 Overloaded", "Overloaded"), "llm.overloaded", "overloaded", "pauses"),
        (http("502 Bad Gateway", "", "nginx"), "upstream.unknown", "gateway", "log"),
        (
            error("502 No", "connect ECONNREFUSED 127.0.0.1:8001"),
            "upstream.refused",
            "127.0.0.1:8001 refuses",
            "start the service",
        ),
        (error("502 No", "getaddrinfo ENOTFOUND api.x"), "upstream.dns", "name", "name servers"),
        (error("502 No", "self-signed certificate"), "upstream.tls", "trust", "SSL_CERT_FILE"),
        (http("504 Gateway Timeout", "", ""), "upstream.timeout", "in time", "behind it"),
    ];
    each("/v1/models", cases).await;
}

#[tokio::test]
async fn a_body_that_is_not_what_it_says_is_named() {
    let gzip = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    let html = "Content-Type: text/html\r\n";
    let cases = vec![
        (http("200 OK", html, "<html>"), "http.html_not_json", "web page", "API's own port"),
        (http("200 OK", html, "{\"a\":1}"), "http.wrong_content_type", "JSON", "application/json"),
        (json("200 OK", "{\"a\":1,}"), "http.bad_json", "column 8", "by hand"),
        (json("200 OK", b"\xef\xbb\xbf{}"), "http.json_bom", "ef bb bf", "byte-order mark"),
        (json("200 OK", b"{\"a\":\"caf\xe9\"}"), "http.bad_encoding", "e9", "UTF-8"),
        (http("200 OK", gzip, "{}"), "http.bad_encoding", "gzip", "Content-Encoding"),
        (json("200 OK", ""), "http.empty", "without a body", "handler"),
        (error("200 OK", "runner stopped"), "http.error_in_200", "runner stopped", "restarted"),
    ];
    each("/v1/models", cases).await;
}

#[tokio::test]
async fn bytes_that_break_the_rules_of_http_are_named() {
    let start = "HTTP/1.1 200 OK\r\n";
    let cut = format!("{start}Content-Length: 5000\r\n\r\n{{\"data\":");
    let lengths = format!("{start}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}");
    let chunk = format!("{start}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n");
    let half = format!("{start}Transfer-Encoding: chunked\r\n\r\n5\r\n{{}}");
    let cases = vec![
        (cut.into_bytes(), "http.truncated", "8 of 5000", "died"),
        (half.into_bytes(), "http.truncated", "after 2 bytes", "died"),
        (lengths.into_bytes(), "http.bad_header", "2 and 3", "Content-Length once"),
        (chunk.into_bytes(), "http.bad_chunk", "`zz`", "chunks"),
        (b"HTTP/1.1 OK\r\n\r\n{}".to_vec(), "http.bad_status_line", "HTTP/1.1 OK", "by hand"),
        (format!("{start}no colon\r\n\r\n").into_bytes(), "http.bad_header", "header", "proxy"),
    ];
    each("/v1/models", cases).await;
}

#[tokio::test]
async fn redirects_that_lead_nowhere_are_named() {
    let server = Switch::new("");
    let to = |place: String| http("302 Found", &format!("Location: {place}\r\n"), "");
    let secure = format!("https://localhost:{}/v1/models", server.port());
    let cases = [
        (to("/v1/models".to_owned()), "http.redirect_loop", "itself", "base path"),
        (to(server.url("/v1/models")), "http.redirect_loop", "itself", "base path"),
        (to(secure), "http.redirect_broken", "https", "forces HTTPS"),
        (to("/login?next=x".to_owned()), "auth.login_redirect", "/login", "API"),
    ];
    for (answer, id, evidence, words) in cases {
        server.mend(answer);
        let report = broken(&request(&server.url("/v1/models")), id, evidence).await;
        fix(&report, words);
    }
    server.mend(to("https://example.com/v1/models".to_owned()));
    well(&request(&server.url("/v1/models"))).await;
}

#[tokio::test]
async fn a_path_like_the_one_that_is_there_is_found() {
    let server = serve("127.0.0.1:0", |mut stream| {
        let asked = String::from_utf8_lossy(&read_some(&mut stream)).into_owned();
        let answer = if asked.starts_with("GET /v1/models ") {
            json("200 OK", "{}")
        } else {
            json("404 Not Found", "{}")
        };
        drop(stream.write_all(&answer));
    });
    for path in ["/v1/v1/models", "/models", "/v1/models/"] {
        let wrong = format!("http://localhost:{}{path}", server.port);
        let right = format!("http://localhost:{}/v1/models", server.port);
        let report = broken(&request(&wrong), "http.wrong_path", path).await;
        fix(&report, &right);
        well(&request(&right)).await;
    }
}

#[tokio::test]
async fn slowness_is_told_from_silence() {
    let late = serve("127.0.0.1:0", |mut stream| {
        if read_some(&mut stream).is_empty() {
            return;
        }
        // The client waits; what is measured is exactly this pause.
        std::thread::park_timeout(std::time::Duration::from_millis(3500));
        drop(stream.write_all(&json("200 OK", "{}")));
    });
    let target = format!("http://localhost:{}/v1/models", late.port);
    let report = broken(&request(&target), "http.slow", "the slowest stage: first byte").await;
    fix(&report, "longer time");
    let stuck = serve("127.0.0.1:0", |mut stream| {
        read_some(&mut stream);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"));
        while !read_some(&mut stream).is_empty() {}
    });
    let target = format!("http://localhost:{}/v1/models", stuck.port);
    broken(&request(&target), "http.body_stalled", "1 of 5000").await;
    let drip = serve("127.0.0.1:0", |mut stream| {
        read_some(&mut stream);
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"));
        while stream.write_all(b".").is_ok() {
            std::thread::park_timeout(std::time::Duration::from_millis(400));
        }
    });
    let target = format!("http://localhost:{}/v1/models", drip.port);
    broken(&request(&target), "http.slow_body", "bytes in").await;
}
