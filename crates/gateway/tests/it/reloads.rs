//! What is known of providers outlives a reload: breakers, keys, latencies.

use gateway::route::{RouteSettings, TargetSettings};
use gateway::settings::{KeySettings, Secret, Settings};
use serde_json::{Value, json};

use crate::house::House;
use crate::routes::{mock, provider};

async fn ask(house: &House, model: &str) -> String {
    let body = json!({"model": model, "max_tokens": 9,
                      "messages": [{"role": "user", "content": "hello"}]});
    house.post("/v1/messages", &body).await.header("x-rapport-provider").to_owned()
}

async fn told(house: &House, name: &str) -> Value {
    house.call("GET", &format!("/api/v1/providers/{name}")).await.json()
}

#[tokio::test]
async fn a_breaker_a_resting_key_and_latencies_stay_where_the_address_stays() {
    let (one, two) = (mock("default.status = 500").await, mock("default.text = \"two\"").await);
    let mut first = provider("one", "anthropic", &one);
    let mut second = provider("two", "anthropic", &two);
    let key = |name: &str| KeySettings {
        name: name.to_owned(),
        ..KeySettings::new(Secret::new(format!("sk-secret-{name}")), "a test")
    };
    second.keys = vec![key("a"), key("b")];
    let target = |text: &str| TargetSettings::parse(text).unwrap();
    let route = RouteSettings {
        name: "both".into(),
        targets: vec![target("one/one-m"), target("two/two-m")],
        ..RouteSettings::default()
    };
    let mut settings = Settings {
        providers: vec![first.clone(), second.clone()],
        routes: vec![route],
        ..Settings::default()
    };
    let house = House::with(settings.clone()).await;
    for _ in 0..5 {
        assert_eq!(ask(&house, "both").await, "two");
    }
    let open = told(&house, "one").await["breakers"][0].clone();
    assert_eq!(open["state"], "open", "{open}");
    let asked = one.requests().len();
    let latency = told_latency(&house).await;
    assert!(latency.is_some());

    // Something else changes, and this provider gets a model and another order of keys.
    first.models.push("one-n".into());
    second.keys.reverse();
    settings.providers = vec![first.clone(), second.clone()];
    house.gate.reload(settings.clone()).unwrap();
    let after = told(&house, "one").await["breakers"][0].clone();
    assert_eq!((&after["state"], &after["failures"]), (&open["state"], &open["failures"]));
    assert_eq!(told_latency(&house).await, latency);
    assert_eq!(ask(&house, "both").await, "two");
    assert_eq!(one.requests().len(), asked, "what rests is left alone");

    // At another address it is another server, of which nothing is known.
    let third = mock("default.text = \"three\"").await;
    settings.providers = vec![provider("one", "anthropic", &third), second];
    house.gate.reload(settings).unwrap();
    let fresh = told(&house, "one").await["breakers"][0].clone();
    assert_eq!((&fresh["state"], &fresh["failures"]), (&json!("closed"), &json!(0)));
    assert_eq!(ask(&house, "one/one-m").await, "one");
    assert_eq!(third.requests().len(), 1);
}

async fn told_latency(house: &House) -> Option<u64> {
    let all = house.call("GET", "/api/v1/models").await.json();
    let mut all = all["models"].as_array().unwrap().iter();
    all.find(|model| model["name"] == "two-m").unwrap()["latency_ms"].as_u64()
}

#[tokio::test]
async fn a_refused_key_stays_refused_and_a_new_one_is_tried() {
    let mock = mock("default.status = 401").await;
    let mut site = provider("one", "anthropic", &mock);
    let mut settings = Settings { providers: vec![site.clone()], ..Settings::default() };
    let house = House::with(settings.clone()).await;
    ask(&house, "one/one-m").await;
    let state = async |n: usize| told(&house, "one").await["keys"][n]["state"].clone();
    assert_eq!(state(0).await, "invalid");
    site.retries = 1;
    settings.providers = vec![site.clone()];
    house.gate.reload(settings.clone()).unwrap();
    assert_eq!(state(0).await, "invalid");
    site.keys[0].key = Secret::new("sk-another-secret");
    settings.providers = vec![site];
    house.gate.reload(settings).unwrap();
    assert_eq!(state(0).await, "normal", "another key under the same name");
}
