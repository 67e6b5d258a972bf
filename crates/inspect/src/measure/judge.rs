//! Whether an answer is a good one.

use serde_json::Value;

/// Limit: bytes of an answer that are read for an error.
const READ_MAX: usize = 64 << 10;
/// Limit: characters of a server's words in the name of a failure.
const WORDS_MAX: usize = 160;

/// Judges a line or a message: an object with an `error`, or words that begin as errors do, are
/// answers, but no good ones.
///
/// # Errors
/// What the server says is wrong.
pub(super) fn message(bytes: &[u8]) -> Result<(), String> {
    let bytes = bytes.trim_ascii();
    // What is so long has more to say than an error.
    if bytes.len() > READ_MAX {
        return Ok(());
    }
    if ["ERROR", "ERR ", "-ERR"].iter().any(|begin| bytes.starts_with(begin.as_bytes())) {
        return Err(format!("the answer is `{}`", short(&String::from_utf8_lossy(bytes))));
    }
    if bytes.first() != Some(&b'{') {
        return Ok(());
    }
    match serde_json::from_slice::<Value>(bytes).ok().as_ref().and_then(error) {
        Some(why) => Err(why),
        None => Ok(()),
    }
}

/// The error of an answer in JSON, with its code: of JSON-RPC, of APIs of models, or one of ours.
pub(super) fn error(answer: &Value) -> Option<String> {
    let error = answer.get("error")?;
    let (said, text) = match error {
        Value::Null | Value::Bool(false) => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::String(text) => (answer, text.as_str()),
        _ => {
            let text = error.get("message").and_then(Value::as_str);
            (error, text.unwrap_or("without a message"))
        }
    };
    let code = ["code", "type"].iter().find_map(|name| said.get(name).filter(|at| !at.is_null()));
    let code = match code {
        Some(Value::String(code)) => format!(" {code}"),
        Some(Value::Number(code)) => format!(" {code}"),
        _ => String::new(),
    };
    Some(format!("error{}: {}", short(&code), short(text)))
}

fn short(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn errors_are_no_good_answers_in_any_of_their_shapes() {
        for (answer, why) in [
            ("ERROR: Invalid JSON format\n", "the answer is `ERROR: Invalid JSON format`"),
            (
                r#"{"error":"no `message`","code":"missing_field"}"#,
                "error missing_field: no `message`",
            ),
            (r#"{"id":1,"error":{"code":-32601,"message":"no"}}"#, "error -32601: no"),
            (
                r#"{"error":{"type":"overloaded_error","message":"later"}}"#,
                "error overloaded_error: later",
            ),
            (r#"{"error":{"code":null}}"#, "error: without a message"),
        ] {
            assert_eq!(message(answer.as_bytes()), Err(why.to_owned()));
        }
        for good in
            ["{\"error\":null,\"result\":1}", "MCP_HELLO_RESPONSE: STATUS=OK", "{", "", "[]"]
        {
            assert_eq!(message(good.as_bytes()), Ok(()), "{good}");
        }
    }
}
