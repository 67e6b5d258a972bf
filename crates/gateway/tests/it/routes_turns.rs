//! Turns of contexts go by the same routes, and are written down under the same ids.

use std::time::Duration;

use gateway::route::{Hedge, RouteSettings, TargetSettings};
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};
use crate::routes::{Town, town};

fn target(text: &str) -> TargetSettings {
    TargetSettings::parse(text).unwrap()
}

const ONE: (&str, &str) = ("anthropic", "default.text = \"from-one\"");
const TWO: (&str, &str) = ("anthropic", "default.text = \"from-two\"");

impl Town {
    async fn turn(&self, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.house.with_headers("POST", "/api/v1/contexts/c/turns", headers, body).await
    }
}

/// Every way to ask within the context `c`, with the route `both`.
fn doors() -> [(&'static str, Value); 7] {
    let say = json!([{"role": "user", "content": "hello"}]);
    [
        ("/api/v1/contexts/c/turns", json!({"message": "hello", "model": "both"})),
        ("/api/v1/contexts/c/turns", json!({"message": "hi", "model": "both", "stream": true})),
        ("/mcp/context/c/message", json!({"message": "hello", "model": "both"})),
        ("/api/mcp/interact", json!({"sessionId": "c", "message": "hello", "model": "both"})),
        ("/v1/predict", json!({"session_id": "c", "input": "hello", "model": "both"})),
        ("/v1/messages", json!({"model": "both", "max_tokens": 9, "messages": say})),
        ("/v1/chat/completions", json!({"model": "both", "stream": true, "messages": say})),
    ]
}

#[tokio::test]
async fn headers_and_tags_choose_for_turns_of_every_door() {
    let town = town(ONE, TWO, |route| {
        route.sticky = false;
        route.targets = vec![target("one/one-m tag=cheap"), target("two/two-m")];
        route.canary = Some(target("one/canary header:x-canary=yes"));
    })
    .await;
    town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    for (path, body) in doors() {
        for (headers, wanted) in [
            (&[("x-rapport-context", "c")][..], "two"),
            (&[("x-rapport-context", "c"), ("x-rapport-tags", "cheap, other")], "one"),
            (&[("x-rapport-context", "c"), ("x-canary", "yes")], "canary"),
        ] {
            let answer = town.house.with_headers("POST", path, headers, &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
            let told = town.explain(&answer).await;
            assert_eq!(told["id"], answer.header("x-request-id"), "{path}");
            assert_eq!(told["context"], "c", "{path} {told}");
            let (provider, model) = (&told["provider"], &told["model"]);
            assert!(provider == wanted || model == wanted, "{path} {wanted}: {told}");
            assert_eq!(told["outcome"], "ok", "{path} {told}");
        }
    }
    let calls = town.house.call("GET", "/api/v1/requests?limit=500").await.json();
    assert_eq!(calls["requests"].as_array().unwrap().len(), doors().len() * 3, "each once");
    let third = town.house.call("GET", "/api/v1/requests/c.3/explain").await.json();
    assert_eq!((&third["turn"], &third["model"]), (&json!(3), &json!("canary")), "{third}");
}

#[tokio::test]
async fn the_length_of_a_context_counts_even_when_the_turn_names_the_route() {
    let town = town(ONE, TWO, |route| {
        route.sticky = false;
        route.targets = vec![target("one/one-m tokens<200"), target("two/two-m")];
    })
    .await;
    town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let short = town.turn(&[], &json!({"message": "hello", "model": "both"})).await;
    assert!(short.text.contains("from-one"), "{short:?}");
    let words = "many words ".repeat(200);
    town.turn(&[], &json!({"message": words, "model": "both"})).await;
    let later = town.turn(&[], &json!({"message": "and?", "model": "both"})).await;
    assert!(later.text.contains("from-two"), "{later:?}");
    let told = town.explain(&later).await;
    assert!(told["plan"][1]["reason"].as_str().unwrap().contains("below 200 tokens"), "{told}");
}

#[tokio::test]
async fn a_slow_turn_is_sent_twice_and_says_one_thing() {
    for stream in [false, true] {
        let hedge = |route: &mut RouteSettings| {
            route.hedge = Some(Hedge { after: Duration::from_millis(20), percent: 100 });
        };
        let town = town(("anthropic", "default.fault = \"hang\""), TWO, hedge).await;
        town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
        let body = json!({"message": "hello", "model": "both", "stream": stream});
        let answer = town.turn(&[], &body).await;
        assert!(answer.text.contains("two"), "{answer:?}");
        assert_eq!(answer.text.matches("event: start").count(), usize::from(stream), "{answer:?}");
        let cut = tokio::time::timeout(Duration::from_secs(10), town.one.left(1)).await;
        cut.expect("the slow call was ended");
        let told = town.explain(&answer).await;
        assert_eq!((&told["provider"], &told["outcome"]), (&json!("two"), &json!("ok")), "{told}");
        let kept = town.house.call("GET", "/api/v1/contexts/c/messages").await.json();
        assert_eq!(kept["messages"].as_array().unwrap().len(), 2, "one question, one answer");
        assert_eq!(kept["messages"][1]["meta"]["provider"], "two", "{kept}");
    }
}

#[tokio::test]
async fn a_hedged_turn_whose_first_target_fails_at_once_goes_on() {
    let hedge = |route: &mut RouteSettings| {
        route.hedge = Some(Hedge { after: Duration::from_mins(5), percent: 100 });
    };
    let town = town(("anthropic", "default.status = 500"), TWO, hedge).await;
    town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let answer = town.turn(&[], &json!({"message": "hello", "model": "both"})).await;
    assert!(answer.text.contains("from-two"), "{answer:?}");
    assert_eq!(town.asked(), (1, 1));
}

#[tokio::test]
async fn a_shadow_gets_a_copy_of_a_turn() {
    let town = town(ONE, ("openai_chat", "default.status = 500"), |route| {
        route.targets.truncate(1);
        route.shadow = vec![target("two/two-m")];
    })
    .await;
    town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    town.turn(&[], &json!({"message": "first", "model": "both"})).await;
    let answer = town.turn(&[], &json!({"message": "second", "model": "both"})).await;
    assert!(answer.text.contains("from-one"), "{answer:?}");
    let seen = tokio::time::timeout(Duration::from_secs(10), town.two.seen(2)).await;
    seen.expect("the copies came");
    let sent = town.two.requests().pop().unwrap().json().to_string();
    assert!(sent.contains("first") && sent.contains("second"), "the whole prompt: {sent}");
}

#[tokio::test]
async fn a_context_whose_own_model_is_a_route_goes_by_it_without_any_default() {
    let town = town(ONE, TWO, |route| {
        route.sticky = false;
        route.targets = vec![target("echo tag=free"), target("two/two-m")];
    })
    .await;
    let context = json!({"id": "c", "settings": {"model": "both"}});
    let made = town.house.post("/api/v1/contexts", &context).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let paid = town.turn(&[], &json!({"message": "hello"})).await;
    assert!(paid.text.contains("from-two"), "{paid:?}");
    let free = town.turn(&[("x-rapport-tags", "free")], &json!({"message": "hello"})).await;
    let told = town.explain(&free).await;
    assert_eq!((&told["provider"], &told["model"]), (&json!("offline"), &json!("echo")), "{told}");
}

#[tokio::test]
async fn offline_turns_and_refused_ones_are_written_down_and_replays_are_not() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let path = "/api/v1/contexts/c/turns";
    let again = [("idempotency-key", "k")];
    let body = json!({"message": "hello"});
    let first = house.with_headers("POST", path, &again, &body).await;
    house.with_headers("POST", path, &again, &body).await;
    let wrong = house.post(path, &json!({"message": "hello", "model": "gpt-no"})).await;
    assert_eq!(wrong.status, StatusCode::NOT_FOUND, "{wrong:?}");
    let lost = house.post("/api/v1/contexts/nobody/turns", &body).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND, "{lost:?}");
    let calls = house.call("GET", "/api/v1/requests").await.json();
    let calls: Vec<(&Value, &Value)> =
        calls["requests"].as_array().unwrap().iter().map(|c| (&c["id"], &c["outcome"])).collect();
    let id = |answer: &Answer| json!(answer.header("x-request-id"));
    assert_eq!(
        calls,
        [
            (&id(&lost), &json!("context_not_found")),
            (&id(&wrong), &json!("model_not_found")),
            (&id(&first), &json!("ok")),
        ]
    );
}

#[tokio::test]
async fn a_built_in_model_behind_others_answers_when_they_cannot() {
    for broken in ["default.status = 500", "default.fault = \"drop\"", "default.status = 401"] {
        let town = town(("anthropic", broken), ("openai_chat", broken), |route| {
            route.targets.push(target("demo"));
        })
        .await;
        town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
        for stream in [false, true] {
            let body = json!({"message": "hello", "model": "both", "stream": stream});
            let answer = town.turn(&[], &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{broken} {answer:?}");
            assert_eq!(answer.text.matches("event: done").count(), usize::from(stream));
            assert!(answer.text.contains("How can I help you today?"), "{broken} {answer:?}");
            let told = town.explain(&answer).await;
            let by = (&told["provider"], &told["model"], &told["outcome"]);
            assert_eq!(by, (&json!("offline"), &json!("demo"), &json!("ok")), "{told}");
            assert_eq!(told["attempts"].as_array().unwrap().len(), 2, "{told}");
        }
        let kept = town.house.call("GET", "/api/v1/contexts/c/messages").await.json();
        let kept = kept["messages"].as_array().unwrap();
        assert_eq!(kept.len(), 4);
        assert_eq!(kept[3]["status"], "complete");
        assert_eq!(kept[3]["model"], "demo");
    }
}

const BREAKS: &str =
    "[default]\nfragments = [\"one \", \"two \", \"three\"]\nstream_error = { after = 2 }";

#[tokio::test]
async fn a_turn_that_breaks_off_is_gone_on_with_where_the_route_wants_it() {
    for (one, two) in [("anthropic", "openai_chat"), ("openai_chat", "anthropic")] {
        let town = town((one, BREAKS), (two, "default.text = \"and three\""), |route| {
            route.continues = true;
        })
        .await;
        town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
        let body = json!({"message": "count", "model": "both", "stream": true});
        let answer = town.turn(&[], &body).await;
        assert_eq!(answer.text.matches("event: start").count(), 1, "{answer:?}");
        assert_eq!(answer.text.matches("event: done").count(), 1, "{answer:?}");
        let data = answer.text.lines().filter_map(|line| line.strip_prefix("data: "));
        let data: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
        // Deltas alone have nothing but a text.
        let is_delta = |event: &&Value| event.as_object().is_some_and(|map| map.len() == 1);
        let said: String =
            data.iter().filter(is_delta).filter_map(|event| event["text"].as_str()).collect();
        assert_eq!(said, "one two and three", "{answer:?}");
        let sent = town.two.requests().pop().unwrap().json();
        let last = sent["messages"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["role"], "assistant", "{sent}");
        assert!(last.to_string().contains("one two"), "{sent}");
        let kept = town.house.call("GET", "/api/v1/contexts/c/messages").await.json();
        let kept = &kept["messages"];
        assert_eq!(kept.as_array().unwrap().len(), 2, "{kept}");
        assert!(kept[1].to_string().contains("one two and three"), "{kept}");
        assert_eq!((&kept[1]["status"], &kept[1]["model"]), (&json!("complete"), &json!("two-m")));
    }
}

#[tokio::test]
async fn a_turn_that_nobody_can_end_keeps_all_that_was_heard() {
    for (continues, heard) in [(false, "one two "), (true, "one two one two ")] {
        let town = town(("anthropic", BREAKS), ("openai_chat", BREAKS), |route| {
            route.continues = continues;
        })
        .await;
        town.house.post("/api/v1/contexts", &json!({"id": "c"})).await;
        let body = json!({"message": "count", "model": "both", "stream": true});
        let answer = town.turn(&[], &body).await;
        assert_eq!(answer.text.matches("event: error").count(), 1, "{answer:?}");
        assert_eq!(town.asked(), (1, usize::from(continues)));
        let kept = town.house.call("GET", "/api/v1/contexts/c/messages").await.json();
        let kept = &kept["messages"];
        assert_eq!(kept[1]["status"], "partial", "{kept}");
        assert!(kept[1].to_string().contains(heard.trim_end()), "{kept}");
        let again = json!({"model": "demo"});
        let again = town.house.post("/api/v1/contexts/c/turns/retry", &again).await;
        assert_eq!(again.status, StatusCode::OK, "{again:?}");
    }
}
