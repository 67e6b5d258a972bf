//! Right and wrong answers of MCP servers.

use serde_json::{Value, json};

use super::{hello, tool_list};

fn right(revision: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "result": {
        "protocolVersion": revision, "capabilities": { "tools": {} },
        "serverInfo": { "name": "lab", "version": "1" },
    }})
}

#[test]
fn a_right_answer_tells_who_speaks() {
    for revision in super::REVISIONS {
        let hello = hello(&right(revision)).unwrap();
        assert_eq!((hello.server.as_str(), hello.has_tools), ("lab 1", true));
    }
}

#[test]
fn each_wrong_answer_has_its_name() {
    let error = |code: i64, message: &str, data: Value| {
        json!({ "jsonrpc": "2.0", "id": 1, "error": {
            "code": code, "message": message, "data": data } })
    };
    let supported = |list: &[&str]| json!({ "supported": list });
    let cases = [
        (right("2099-01-01"), "mcp.version_mismatch"),
        (error(-32602, "Unsupported protocol version", Value::Null), "mcp.version_mismatch"),
        (error(-32022, "no", supported(&["2026-07-28"])), "mcp.modern_only"),
        (error(-32022, "no", supported(&["2024-11-05"])), "mcp.version_mismatch"),
        (error(-32603, "KeyError", Value::Null), "mcp.init_error"),
        (json!({ "id": 1, "result": {} }), "mcp.bad_jsonrpc"),
        (json!({ "jsonrpc": "2.0", "id": "1-x", "result": {} }), "mcp.id_mismatch"),
        (json!({ "jsonrpc": "2.0", "id": 1, "result": {} }), "mcp.bad_initialize"),
        (json!({ "jsonrpc": "2.0", "id": 1 }), "mcp.bad_initialize"),
        (json!([1, 2]), "mcp.bad_jsonrpc"),
    ];
    for (answer, id) in cases {
        assert_eq!(hello(&answer).unwrap_err().id, id, "{answer}");
    }
}

#[test]
fn tools_that_clients_refuse_are_named() {
    let list = |tools: Value| json!({ "jsonrpc": "2.0", "id": 2, "result": { "tools": tools } });
    let good = json!({ "name": "a.b-c_d", "inputSchema": { "type": "object" } });
    assert_eq!(tool_list(&list(json!([good]))).unwrap(), 1);
    for bad in [
        json!({ "name": "bad tool!", "inputSchema": { "type": "object" } }),
        json!({ "name": "x", "inputSchema": { "type": "array" } }),
        json!({ "inputSchema": { "type": "object" } }),
    ] {
        assert_eq!(tool_list(&list(json!([bad]))).unwrap_err().id, "mcp.bad_tool_schema");
    }
    let unknown = json!({ "jsonrpc": "2.0", "id": 2, "error": { "code": -32601, "message": "x" } });
    assert_eq!(tool_list(&unknown).unwrap_err().id, "mcp.method_not_found");
}
