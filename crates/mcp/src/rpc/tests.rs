//! What is a message and what is not.

use serde_json::json;

use super::*;

fn message(text: &str) -> Result<Message, Refusal> {
    match read(text.as_bytes())? {
        Incoming::One(message) => Ok(message),
        Incoming::Batch(_) => panic!("one message: {text}"),
    }
}

#[test]
fn ids_keep_their_exact_form() {
    for id in ["1", "-7", "\"a\\u0062\"", "18446744073709551615", "\"\""] {
        let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}");
        let Ok(Message::Request { id: read, .. }) = message(&text) else { panic!("{text}") };
        assert_eq!(read.as_json(), id);
        assert_eq!(
            result(&read, &json!({})),
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}")
        );
    }
}

#[test]
fn what_is_no_message_is_refused_with_its_number() {
    for (text, number) in [
        ("", code::PARSE),
        ("{", code::PARSE),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"} x", code::PARSE),
        ("7", code::REQUEST),
        ("{}", code::REQUEST),
        ("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"a\"}", code::REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"a\"}", code::REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"a\"}", code::REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", code::REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":[]}", code::REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":1}", code::REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", code::REQUEST),
        ("[]", code::REQUEST),
    ] {
        assert_eq!(read(text.as_bytes()).unwrap_err().code, number, "{text}");
    }
    assert_eq!(read(b"\xff{}").unwrap_err().code, code::PARSE);
}

#[test]
fn a_batch_is_read_one_by_one() {
    let text = r#"[{"jsonrpc":"2.0","method":"a"}, 7, {"jsonrpc":"2.0","id":"x","result":1}]"#;
    let Ok(Incoming::Batch(items)) = read(text.as_bytes()) else { panic!("a batch") };
    assert!(matches!(&items[0], Ok(Message::Notification { method, .. }) if method == "a"));
    assert_eq!(items[1].as_ref().unwrap_err().code, code::REQUEST);
    assert!(matches!(&items[2], Ok(Message::Response { outcome: Ok(value), .. }) if *value == 1));
}

#[test]
fn the_id_of_an_answer_too_deep_to_read_is_found() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{deep}}}");
    let refused = read(answer.as_bytes()).unwrap_err();
    assert_eq!(refused.code, code::REQUEST);
    assert!(refused.message.starts_with("recursion limit"), "{}", refused.message);
    assert_eq!(answered(answer.as_bytes()), Some(Id::number(7)));
    let request = format!("{{\"id\":7,\"method\":\"a\",\"params\":{deep}}}");
    for text in [request.as_str(), "garbage", "{\"result\":1}", "{\"id\":{}}", ""] {
        assert_eq!(answered(text.as_bytes()), None, "{text}");
    }
}
