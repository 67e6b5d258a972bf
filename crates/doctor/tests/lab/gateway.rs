//! Reverse proxies whose settings lead to a server that is broken: file and line are named.

use std::io::Write as _;

use super::programs::start;
use super::servers::{Server, closed_port, http, serve};
use super::{broken, fix, request, well};

/// nginx before three places: one where nothing listens, and two that are asked wrongly.
fn settings(place: &str, port: u16, behind: [(&str, u16); 3]) -> String {
    let ways = ["a", "b", "c"].iter().zip(behind).map(|(way, (scheme, port))| {
        format!("location /{way} {{\nproxy_pass {scheme}://127.0.0.1:{port}/; }}\n")
    });
    format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/errors;\n\
         events {{}}\nhttp {{\n\
         access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p;\n\
         fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
         server {{ listen 127.0.0.1:{port};\n{} }} }}\n",
        ways.collect::<String>()
    )
}

/// A server that answers a greeting of TLS with an alert, and anything else not at all.
fn alerts() -> Server {
    serve("127.0.0.1:0", |mut stream| {
        if super::servers::read_some(&mut stream).starts_with(&[0x16]) {
            drop(stream.write_all(b"\x15\x03\x01\0\x02\x02\x46"));
        }
    })
}

#[tokio::test]
async fn the_server_behind_a_gateway_is_named_with_the_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    let (plain, secure) = (http("200 OK"), alerts());
    let cases = [
        // Which of them is wrong, the id, and words.
        (
            [("http", closed_port()), ("http", plain.port), ("http", plain.port)],
            "upstream.refused",
            "start",
        ),
        (
            [("https", plain.port), ("https", plain.port), ("https", plain.port)],
            "upstream.protocol",
            "http",
        ),
        (
            [("http", secure.port), ("http", secure.port), ("http", secure.port)],
            "upstream.protocol",
            "http",
        ),
    ];
    for (behind, id, words) in cases {
        let port = closed_port();
        let file = folder.path().join(format!("{port}.conf"));
        std::fs::write(&file, settings(&place, port, behind)).unwrap();
        let file = file.display().to_string();
        let args = ["-p", &place, "-c", &file, "-g", "user root;"];
        let Some(_running) = start(port, "nginx", &args) else { return };
        let target = request(&format!("http://localhost:{port}/a"));
        let proof = format!("{file}:8 names 127.0.0.1:{}", behind[0].1);
        let report = broken(&target, id, &proof).await;
        fix(&report, words);
    }
}

#[tokio::test]
async fn a_gateway_whose_key_is_refused_is_named_and_the_key_is_not_shown() {
    let body = r#"{"error":{"message":"Incorrect API key provided: sk-proj-abcdefghijklmnop"}}"#;
    let server = serve("127.0.0.1:0", move |mut stream| {
        super::servers::read_some(&mut stream);
        let answer = super::switch::json("502 Bad Gateway", body);
        drop(stream.write_all(&answer));
    });
    let target = format!("http://localhost:{}/v1/models", server.port);
    let report = broken(&request(&target), "upstream.auth", "refuses the gateway's key").await;
    assert!(!super::verbose(&report).contains("abcdefgh"));
    let well_behaved = http("200 OK");
    well(&request(&format!("http://localhost:{}/", well_behaved.port))).await;
}
