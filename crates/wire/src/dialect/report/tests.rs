//! Error answers: what they say about fault, blame and another try.

use super::*;

#[track_caller]
fn ask(status: u16, headers: &[(&str, &str)], body: &str) -> Fault {
    let header = |name: &str| {
        let found = headers.iter().find(|(key, _)| *key == name)?;
        Some(found.1.to_owned())
    };
    answer(status, &header, body.as_bytes())
}

fn detail(fault: &Fault, name: &str) -> Value {
    fault.detail_values().unwrap().get(name).cloned().unwrap_or_default()
}

const INVALID: &str = r#"{"type":"error","request_id":"req_1","error":
    {"type":"invalid_request_error","message":"max_tokens: must be positive."}}"#;

#[test]
fn a_request_that_is_at_fault_is_blamed_on_the_caller() {
    for status in [400, 404, 413, 422] {
        let fault = ask(status, &[("request-id", "req_1")], INVALID);
        assert_eq!((fault.code(), fault.blame()), (Code::UpstreamError, Blame::Caller), "{status}");
        assert_eq!(detail(&fault, "upstream_status"), status);
        assert_eq!(detail(&fault, "upstream_type"), "invalid_request_error");
        assert_eq!(detail(&fault, "upstream_request_id"), "req_1");
    }
    let fault = ask(400, &[], INVALID);
    let text = "the upstream refuses the request (`400 invalid_request_error`): \
                max_tokens: must be positive";
    assert_eq!(fault.text(), text);
}

#[test]
fn refused_credentials_are_our_fault_and_the_message_stays_in_the_log() {
    let body = r#"{"error":{"message":"Incorrect API key: sk-1234.",
        "type":"invalid_request_error","code":"invalid_api_key"}}"#;
    for status in [401, 403] {
        let fault = ask(status, &[], body);
        assert_eq!((fault.code(), fault.blame()), (Code::UpstreamError, Blame::Us));
        assert!(!fault.text().contains("Incorrect"), "{fault}");
        assert!(fault.chain().contains("Incorrect API key: [hidden]"), "{}", fault.chain());
        assert!(fault.hint_text().unwrap().contains("key"));
        assert_eq!(detail(&fault, "upstream_code"), "invalid_api_key");
    }
}

#[test]
fn an_upstream_that_is_down_or_busy_is_unavailable() {
    for status in [408, 429, 500, 502, 503, 504, 520, 529] {
        let fault = ask(status, &[], "");
        assert_eq!(fault.code(), Code::UpstreamUnavailable, "{status}");
        assert_eq!(fault.blame(), Blame::Upstream, "{status}");
    }
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let text = "the upstream is not available (`529 overloaded_error`): Overloaded";
    assert_eq!(ask(529, &[], body).text(), text);
}

#[test]
fn the_headers_say_when_to_try_again() {
    let wait = |headers: &[(&str, &str)]| ask(429, headers, "").wait();
    assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
    assert_eq!(wait(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
    let both = [("retry-after", "7"), ("retry-after-ms", "250")];
    assert_eq!(wait(&both), Some(Duration::from_millis(250)));
    assert_eq!(wait(&[("retry-after", "-3")]), Some(Duration::ZERO));
    assert_eq!(wait(&[("retry-after", "1e300")]), Some(Duration::from_hours(24)));
    assert_eq!(wait(&[("retry-after", "NaN")]), None);
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    let fault = ask(429, &[("retry-after", date), ("x-should-retry", "true")], "");
    assert_eq!(fault.wait(), None);
    assert_eq!(detail(&fault, "retry_after"), date);
    assert_eq!(detail(&fault, "should_retry"), true);
}

#[test]
fn a_used_up_quota_is_not_worth_another_try() {
    let body = r#"{"error":{"message":"You exceeded your quota",
        "type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let fault = ask(429, &[], body);
    assert_eq!(fault.code(), Code::UpstreamUnavailable);
    assert_eq!(detail(&fault, "should_retry"), false);
}

#[test]
fn an_answer_that_is_no_report_is_described_to_the_log_and_not_repeated() {
    let fault = ask(502, &[], "<html><h1>Bad Gateway</h1></html>");
    assert_eq!(fault.code(), Code::UpstreamUnavailable);
    assert_eq!(fault.text(), "the upstream is not available (`502`)");
    assert!(
        fault.chain().ends_with("markup, 33 bytes, that begins `<…><…>…</…></…>`"),
        "{fault:?}"
    );
    let fault = ask(404, &[], "404 page not found");
    assert_eq!((fault.code(), fault.blame()), (Code::UpstreamError, Blame::Us));
    assert!(fault.hint_text().unwrap().contains("base URL"));
    assert_eq!(ask(302, &[], "").blame(), Blame::Us);
}

#[test]
fn every_shape_of_report_is_read() {
    let says = |body: &str| ask(400, &[], body).text().to_owned();
    let text = "the upstream refuses the request (`400`): no such thing";
    assert_eq!(says(r#"{"error":"no such thing"}"#), text);
    assert_eq!(says(r#"{"message":"no such thing"}"#), text);
    assert_eq!(says(r#"{"detail":"no such thing."}"#), text);
    let named = "the upstream refuses the request (`400 BadRequestError`): no such thing";
    let body =
        r#"{"object":"error","message":"no such thing","type":"BadRequestError","code":400}"#;
    assert_eq!(says(body), named);
}

#[test]
fn an_error_in_mid_stream_is_sorted_by_its_words() {
    let code = |body: &str| {
        let raw: &RawValue = serde_json::from_str(body).unwrap();
        let fault = Report::read(raw).unwrap().streamed();
        (fault.code(), fault.blame())
    };
    let unavailable = (Code::UpstreamUnavailable, Blame::Upstream);
    for kind in ["overloaded_error", "api_error", "rate_limit_error", "timeout_error", "new_one"] {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}}}}"#);
        assert_eq!(code(&body), unavailable, "{kind}");
    }
    assert_eq!(code(r#"{"error":{"code":502,"message":"m"}}"#), unavailable);
    let body = r#"{"error":{"type":"invalid_request_error","message":"m"}}"#;
    assert_eq!(code(body), (Code::UpstreamError, Blame::Caller));
    let body = r#"{"error":{"type":"authentication_error","message":"m"}}"#;
    assert_eq!(code(body), (Code::UpstreamError, Blame::Us));
}
