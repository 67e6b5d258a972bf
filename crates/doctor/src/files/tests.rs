//! Ports and addresses in texts, and slips of the pen in JSON.

use std::path::Path;

use super::scan::{addresses, ports};
use super::{json, scan};

fn lines_with_faults(text: &str) -> Vec<String> {
    ports(Path::new("f"), text, None).into_iter().map(|verdict| verdict.sentence).collect()
}

#[test]
fn ports_are_found_in_every_kind_of_file() {
    for text in [
        "port: 619009",
        "server.port=619009",
        "PORT=619009",
        "url: http://localhost:619009/mcp",
        "EXPOSE 619009",
        "    listen 619009;",
        "proxy_pass http://127.0.0.1:619009;",
        "      - \"619009:80\"",
        "      - 619009:80",
        "docker run -p 619009:80 x",
        "cmd --port 619009",
        "\"port\": 619009,",
    ] {
        let found = lines_with_faults(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains("line 1"), "{found:?}");
        assert!(found[0].contains("61900"), "{found:?}");
    }
}

#[test]
fn other_numbers_are_no_ports() {
    for text in [
        "port: 61900",
        "# port: 619009",
        "// port: 619009",
        "limit: 619009",
        "version: 619009.2",
        "report619009: 1",
        "time: 12:619009",
        "uuid: 619009-aaaa",
        "max_tokens: 200000",
        "ports:\n  - \"8080:80\"",
        "timeout=100000",
    ] {
        assert!(lines_with_faults(text).is_empty(), "{text}: {:?}", lines_with_faults(text));
    }
}

#[test]
fn addresses_of_this_machine_are_found_once() {
    let text = "a: \"http://localhost:61900/mcp\"\n# http://localhost:1\nb=http://[::1]:80/x y\n\
                c: https://example.com\nd: http://localhost:61900/mcp, ws://127.0.0.1:9/\n\
                e: http://localhost:${PORT}/";
    let found = addresses(text);
    let urls: Vec<&str> = found.iter().map(|one| one.url.as_str()).collect();
    assert_eq!(urls, ["http://localhost:61900/mcp", "http://[::1]:80/x", "ws://127.0.0.1:9/"]);
    assert_eq!(found[1], scan::Address { line: 3, url: "http://[::1]:80/x".to_owned() });
}

#[test]
fn slips_in_json_are_named_with_their_line() {
    let cases = [
        ("{\n  \"a\": 1,\n}", "line 2", "comma after the last"),
        ("{\n  \"a\": [1,]\n}", "line 2", "comma before the closing"),
        ("{\n  // x\n  \"a\": 1\n}", "line 2", "comment"),
        ("{\n  \u{201c}a\u{201d}: 1\n}", "line 2", "typographic"),
        ("{\n  \"a\": \"C:\\Users\\me\"\n}", "line 2", "single backslash"),
        ("{\n  \"a\": 1", "line 2", "too early"),
        ("{\n  'a': 1\n}", "line 2", "double quotation"),
        ("{\n  \"a\": 1\n  \"b\": 2\n}", "line 3", "missing"),
    ];
    for (text, line, what) in cases {
        let verdict = json::parse("f", text).unwrap_err();
        assert!(verdict.sentence.contains(line), "{text}: {}", verdict.sentence);
        assert!(verdict.sentence.contains(what), "{text}: {}", verdict.sentence);
    }
}

#[test]
fn names_that_stand_twice_are_found_with_their_path() {
    let text = "{\"mcpServers\":{\"a\":{\"x\":[1,{\"y\":null}]},\"b\":1.5,\"a\":true}}";
    assert_eq!(json::doubled(text), ["mcpServers.a"]);
    assert!(json::doubled("{\"a\":{\"b\":1},\"c\":{\"b\":-1}}").is_empty());
}
