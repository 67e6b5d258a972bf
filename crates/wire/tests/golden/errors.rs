//! Error answers of real servers: what each of them is, whose fault, and when to try again.
//!
//! `errors/DIALECT/CASE.json` is an answer of an upstream of this dialect; those in `errors/any`
//! may come from every one: proxies, gateways, half answers. A case has `status`, `headers`, and a
//! `body` (JSON, or a text as it is), `hex` or `stream` (events, after a good status), and what is
//! to be found: `code`, `culprit`, `retry_after_ms`, and words of the `text` a caller reads.

use serde_json::{Value, json};
use wire::dialect::{DIALECTS, Dialect};
use wire::event::Event;
use wire::fault::culprit;

use crate::show::{cases, stream};

/// Each dialect has at least so many answers, those of every dialect counted.
const CASES_MIN: usize = 40;

fn body(case: &Value) -> Vec<u8> {
    if let Some(hex) = case.get("hex").and_then(Value::as_str) {
        let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
        let (pairs, _) = hex.as_bytes().as_chunks::<2>();
        return pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect();
    }
    match &case["body"] {
        Value::String(text) => text.clone().into_bytes(),
        json => json.to_string().into_bytes(),
    }
}

fn check(dialect: &dyn Dialect, (name, case): (&str, &Value), wrong: &mut Vec<String>) {
    let place = format!("{name} in {}", dialect.name());
    let header = |name: &str| case["headers"].get(name).map(|v| v.as_str().unwrap().to_owned());
    let fault = match case.get("stream").and_then(Value::as_str) {
        Some(events) => match stream(dialect, [events.as_bytes()]).0.pop() {
            Some(Event::Fault(fault)) => fault,
            other => panic!("{place}: {other:?}"),
        },
        None => {
            let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
            dialect.fault(status, &header, &body(case))
        }
    };
    let wait = fault.wait().map(|wait| u64::try_from(wait.as_millis()).unwrap());
    let found = json!([fault.code().as_str(), culprit(&fault).as_str(), wait]);
    let wanted = json!([case["code"], case["culprit"], case["retry_after_ms"]]);
    let text = fault.text();
    let hint = fault.hint_text().unwrap_or_default();
    let words = |name: &str| {
        let words = case[name].as_array().cloned().unwrap_or_default();
        words.into_iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let is_said = words("text").iter().all(|word| text.contains(word));
    let is_shown = |word: &String| text.contains(word) || hint.contains(word);
    let is_hidden = !words("hidden").iter().any(is_shown);
    let is_line = text.len() < 1000 && !text.contains('\n');
    if found != wanted || !is_said || !is_hidden || !is_line {
        wrong.push(format!("{place}: {found} for {wanted}: {}", fault.chain()));
    }
}

#[test]
fn error_answers_of_many_servers_are_understood() {
    let any = cases("errors/any", "json");
    let mut wrong = Vec::new();
    for dialect in DIALECTS {
        let own = cases(&format!("errors/{}", dialect.name()), "json");
        let count = own.len() + any.len();
        assert!(count >= CASES_MIN, "{} has {count} error answers", dialect.name());
        for (name, bytes) in any.iter().chain(&own) {
            let case = serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
            check(*dialect, (name, &case), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_sent_to_a_caller_of_any_dialect_is_understood_by_its_reader() {
    for (name, bytes) in cases("errors/any", "json") {
        let case: Value = serde_json::from_slice(&bytes).unwrap();
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        for from in DIALECTS {
            let fault = from.fault(status, &|_| None, &body(&case));
            for to in DIALECTS {
                let place = format!("{name}: {} to {}", from.name(), to.name());
                let refused = to.refuse(status, &fault);
                serde_json::from_slice::<Value>(&refused).expect(&place);
                let again = to.fault(status, &|_| None, &refused);
                if again.blame() != wire::Blame::Us {
                    // What is long is cut twice.
                    let begin: String = fault.text().chars().take(150).collect();
                    assert!(again.text().contains(&begin), "{place}: {}", again.text());
                }
            }
        }
    }
}
