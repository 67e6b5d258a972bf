//! The data is whole, and the texts of real tools are recognised.

use super::{
    Errors, explain_text, symptom_tables, symptoms_json, symptoms_markdown, symptoms_text,
};

#[test]
fn the_data_is_whole() {
    let errors: Errors = toml::from_str(super::ERRORS).unwrap();
    for entry in &errors.error {
        assert!(!entry.patterns.is_empty() && !entry.steps.is_empty(), "{entry:?}");
        assert!(entry.cause.ends_with('.'), "{entry:?}");
    }
    toml::from_str::<super::Symptoms>(super::SYMPTOMS).unwrap();
    assert_eq!(symptom_tables().len(), 2);
}

#[test]
fn every_tool_that_refuses_the_impossible_port_is_understood() {
    let texts = [
        "curl: (3) URL using bad/illegal format or missing URL",
        "http://localhost:619009/health: Bad port number.",
        "nc: port number too large: 619009",
        "Ncat: Invalid port number \"619009\". QUITTING.",
        "Port number 619009 is out of range.",
        "docker: invalid containerPort: 619009",
        "OverflowError: connect(): port must be 0-65535.",
        "OverflowError: bind(): port must be 0-65535.",
        "requests.exceptions.InvalidURL: Failed to parse: '127.0.0.1:619009' is not a valid host \
         or port",
        "ValueError: Port out of range 0-65535",
        "RangeError [ERR_SOCKET_BAD_PORT]: Port should be >= 0 and < 65536. Received type number \
         (619009).",
        "TypeError: Failed to parse URL from http://localhost:619009/",
        "dial tcp: address 619009: invalid port",
        "listen tcp: address 619009: invalid port",
        "java.lang.IllegalArgumentException: port out of range:619009",
        "ParseIntError { kind: PosOverflow }",
        "AddrParseError(Socket)",
        "Error { kind: InvalidInput, message: \"invalid port value\" }",
        "Bad port '619009'",
        "psql: error: invalid port number: \"619009\"",
        "FATAL:  619009 is outside the valid range for parameter \"port\" (1 .. 65535)",
        "nginx: invalid port in \"619009\" of the \"listen\" directive",
        "ERROR: Bad port",
    ];
    for text in texts {
        let explanation = explain_text(text).unwrap_or_else(|| panic!("not known: {text}"));
        assert_eq!(explanation.id, "address.port_out_of_range", "{text}");
        assert_eq!(explanation.port.is_some(), text.contains("619009"), "{text}");
    }
    let ncat = explain_text("Ncat: Invalid port number \"619009\". QUITTING.").unwrap();
    assert!(ncat.tool.contains("ncat"), "{ncat:?}");
    let perl = "Port number above 0xFFFF, will be truncated to 29185 for Socket::pack_sockaddr_in";
    assert_eq!(explain_text(perl).unwrap().id, "address.port_truncated");
}

#[test]
fn the_texts_of_clients_and_servers_have_their_causes() {
    let cases = [
        ("curl: (7) Failed to connect: Connection refused", "listen.none"),
        ("net::ERR_CONNECTION_REFUSED", "listen.none"),
        ("openai.APIConnectionError: Connection error.", "listen.none"),
        ("TypeError: fetch failed", "listen.none"),
        ("curl: (60) SSL certificate problem: self-signed certificate", "tls.self_signed"),
        ("localhost refused to connect.", "listen.none"),
        ("NS_ERROR_NET_RESET", "tcp.reset"),
        ("net::ERR_INCOMPLETE_CHUNKED_ENCODING", "http.truncated"),
        ("Error: spawn npx ENOENT", "config.command_not_found"),
        ("MCP error -32000: Connection closed", "stdio.exits"),
        (
            "Error during WebSocket handshake: Unexpected response code: 200",
            "protocol.not_websocket",
        ),
        ("Bind for 0.0.0.0:61900 failed: port is already allocated", "listen.conflict"),
        ("upstream connect error or disconnect/reset before headers", "upstream.refused"),
        ("Error: ENOSPC: System limit for number of file watchers reached", "resource.inotify"),
        ("the stream ended without [DONE]", "stream.no_end"),
        ("connect(AF_INET, {sin_port=htons(619009)}, 16) = -1 ECONNREFUSED", "listen.none"),
        ("[1] Error: Connection refused. Is the MCP server running on a:1?", "listen.none"),
        ("Failed to connect to Claude desktop: x", "listen.none"),
        ("Connection to localhost:61900 timed out. Is the service running?", "firewall.drop"),
        ("Timeout", "firewall.drop"),
        ("No Data / Unexpected Data", "protocol.unknown"),
        ("Context Lost/Drift", "context.lost"),
        ("Slow Responses", "http.slow"),
        ("Module Not Found", "start.missing_dependency"),
        ("MCP server listening on 127.0.0.1:61900", "ok"),
        ("Connected by ('127.0.0.1', 4)", "ok"),
        (" * Running on http://127.0.0.1:61900 (Press CTRL+C to quit)", "ok"),
        ("HTTP Error: 404", "http.wrong_path"),
        ("HTTP Error: 404 Client Error: NOT FOUND for url: x", "http.wrong_path"),
        ("urllib.error.HTTPError: HTTP Error 503: SERVICE UNAVAILABLE", "http.503"),
        ("An unexpected error occurred: [Errno 111] Connection refused", "listen.none"),
        ("An unexpected error occurred: x", "unknown"),
        ("requests.exceptions.HTTPError", "http.error"),
        ("requests.exceptions.ConnectionError", "listen.none"),
        ("Please ensure Claude desktop is running and listening on a:1.", "listen.none"),
        ("invalid input", "http.400"),
        ("address invalid", "address.port_out_of_range"),
        ("Connection timed out", "firewall.drop"),
        ("connect: No route to host", "net.unreachable"),
        ("read ECONNRESET", "tcp.reset"),
        ("curl: (52) Empty reply from server", "tcp.closed_at_once"),
        ("OSError: [Errno 98] Address already in use", "listen.conflict"),
        ("Port Conflict", "listen.conflict"),
        ("bind: Permission denied", "listen.privileged"),
        ("ModuleNotFoundError: No module named 'Flask'", "start.missing_dependency"),
        ("ClassNotFoundException: a.b", "start.missing_dependency"),
        ("YAML syntax error on line 3", "config.bad_yaml"),
        ("SSL routines::wrong version number", "tls.https_to_http"),
        ("Secure Connection Failed", "tls.https_to_http"),
        ("ERROR: Invalid JSON format\n", "protocol.json_lines"),
        ("curl: (1) Received HTTP/0.9 when not allowed", "protocol.json_lines"),
        ("{\"error\": \"Context not found\"}", "context.unknown"),
        ("{\"error\": \"Message content is required\"}", "http.400"),
        ("Error calling Claude API: boom", "upstream.unknown"),
        ("401 Unauthorized", "auth.missing"),
        ("getaddrinfo ENOTFOUND mcp.local", "name.unknown"),
        ("Port 619009 is in use by another program.", "listen.conflict"),
        ("Running on http://127.0.0.1:29185", "address.port_truncated"),
    ];
    for (text, id) in cases {
        let explanation = explain_text(text).unwrap_or_else(|| panic!("not known: {text}"));
        assert_eq!(explanation.id, id, "{text}");
        assert!(!explanation.to_text().is_empty());
    }
    assert_eq!(explain_text("all is well in the garden"), None);
    assert_eq!(explain_text(""), None);
}

#[test]
fn the_texts_of_browsers_clusters_and_kernels_have_their_causes() {
    let cases = [
        ("Invalid URL", "address.port_out_of_range"),
        ("NS_ERROR_CONNECTION_REFUSED", "listen.none"),
        ("TypeError: Failed to fetch", "listen.none"),
        ("error: unable to forward port because pod is not running", "container.not_published"),
        ("mcp-0   0/1   CrashLoopBackOff   7", "start.crash_loop"),
        ("Error: ErrImagePull", "start.image_missing"),
        ("avc:  denied  { name_bind } for  pid=7", "security.selinux"),
        ("apparmor=\"DENIED\" operation=\"bind\"", "security.apparmor"),
    ];
    for (text, id) in cases {
        let explanation = explain_text(text).unwrap_or_else(|| panic!("not known: {text}"));
        assert_eq!(explanation.id, id, "{text}");
    }
}

#[test]
fn the_tables_come_in_three_forms_with_the_same_rows() {
    let rows = symptom_tables().iter().flat_map(|table| &table.rows);
    let (text, markdown, json) = (symptoms_text(), symptoms_markdown(), symptoms_json());
    for row in rows {
        assert!(text.contains(&row.symptom));
        assert!(markdown.contains(&format!("| {} |", row.symptom)));
        assert!(json.to_string().contains(&row.symptom));
    }
    assert!(
        markdown
            .lines()
            .filter(|line| line.starts_with('|'))
            .all(|l| l.matches(" | ").count() == 3 || l.starts_with("|---"))
    );
}
