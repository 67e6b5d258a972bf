//! Health checks from outside: a provider that is down is asked last, and comes back by itself.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::route::{RouteSettings, TargetSettings};
use gateway::settings::{HealthCheck, KeySettings, ProviderSettings, Secret, Settings};
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::House;
use crate::routes::mock;
use crate::stub::Stub;

/// Limit: how long a test waits for something that happens within milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

fn provider(name: &str, dialect: &str, at: SocketAddr, path: Option<&str>) -> ProviderSettings {
    let mut settings = ProviderSettings::new(name, dialect, &format!("http://{at}"));
    settings.keys = vec![KeySettings::new(Secret::new("sk-secret-of-a-test"), "a test")];
    settings.models = vec![format!("{name}-m")];
    settings.retries = 0;
    settings.health = path.map(|path| HealthCheck {
        every: Duration::from_millis(20),
        path: Some(path.to_owned()).filter(|path| !path.is_empty()),
        timeout: Duration::from_millis(500),
    });
    settings
}

async fn house(one: ProviderSettings, two: ProviderSettings) -> House {
    let target = |text: &str| TargetSettings::parse(text).unwrap();
    let route = RouteSettings {
        name: "both".into(),
        targets: vec![target("one/one-m"), target("two/two-m")],
        ..RouteSettings::default()
    };
    let settings =
        Settings { providers: vec![one, two], routes: vec![route], ..Settings::default() };
    House::with(settings).await
}

impl House {
    async fn provider(&self, name: &str) -> Value {
        let all = self.call("GET", "/api/v1/providers").await.json();
        let mut all = all["providers"].as_array().unwrap().iter();
        all.find(|provider| provider["name"] == name).unwrap().clone()
    }

    /// Waits until the provider's health check says so.
    async fn until_up_is(&self, name: &str, up: bool) -> Value {
        let looked = async {
            loop {
                let provider = self.provider(name).await;
                if provider["health"]["up"] == up {
                    return provider;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looked).await.expect("the check noticed")
    }

    async fn answered_by(&self) -> (String, Value) {
        let body = json!({"model": "both", "max_tokens": 9,
                          "messages": [{"role": "user", "content": "hello"}]});
        let answer = self.post("/v1/messages", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let path = format!("/api/v1/requests/{}/explain", answer.header("x-request-id"));
        let told = self.call("GET", &path).await.json();
        (answer.header("x-rapport-provider").to_owned(), told)
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_asked_first_and_comes_back_by_itself() {
    let two = mock("default.text = \"two\"").await;
    let one = mock("default.text = \"one\"").await;
    let at = one.addr();
    let house = house(
        provider("one", "anthropic", at, Some("/v1/models")),
        provider("two", "anthropic", two.addr(), None),
    )
    .await;
    let shown = house.until_up_is("one", true).await;
    assert_eq!(shown["health"]["path"], "/v1/models");
    assert_eq!(house.provider("two").await["health"], Value::Null, "off unless configured");
    assert_eq!(house.answered_by().await.0, "one");
    one.shutdown().await;
    let shown = house.until_up_is("one", false).await;
    assert_eq!(shown["reachable"], true, "the last call was answered");
    assert!(shown["health"]["error"].as_str().unwrap().contains("refused"), "{shown}");
    let metrics = house.call("GET", "/metrics").await.text;
    assert!(metrics.contains("rapport_provider_up{provider=\"one\"} 0"), "{metrics}");
    let (who, told) = house.answered_by().await;
    assert_eq!(who, "two");
    assert_eq!(told["attempts"].as_array().unwrap().len(), 1, "one was not even tried: {told}");
    let reason = told["plan"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("health check fails"), "{told}");
    let script = mock::Script::parse("default.text = \"one\"").unwrap();
    let _again = mock::Mock::start(at, script).await.expect("the port is free again");
    house.until_up_is("one", true).await;
    assert_eq!(house.answered_by().await.0, "one");
    let metrics = house.call("GET", "/metrics").await.text;
    assert!(metrics.contains("rapport_provider_up{provider=\"one\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_check_that_is_answered_with_a_fault_of_the_server_has_failed() {
    let down = Stub::start(503, "application/json", "{}").await;
    let odd = Stub::start(404, "application/json", "{}").await;
    let one = provider("one", "openai_chat", down.addr, Some("/healthz"));
    let two = provider("two", "openai_chat", odd.addr, Some(""));
    let house = house(one, two).await;
    let shown = house.until_up_is("one", false).await;
    assert_eq!(shown["health"]["status"], 503, "{shown}");
    assert!(shown["health"]["error"].as_str().unwrap().contains("503"), "{shown}");
    let seen = down.last();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/v1/healthz"));
    assert_eq!(seen.header("authorization"), "Bearer sk-secret-of-a-test");
    assert!(seen.body.is_empty());
    let shown = house.until_up_is("two", true).await;
    assert_eq!(shown["health"]["status"], 404, "whoever says no is there: {shown}");
    assert_eq!(odd.last().path, "/v1/models");
}

#[tokio::test]
async fn a_refused_key_comes_back_by_a_check() {
    let script = "[[rules]]\nwhen.path = \"/v1/models\"\nreply.status = 401\n\
                  [default]\nstatus = 401";
    let (one, two) = (mock(script).await, mock("").await);
    let house = house(
        provider("one", "anthropic", one.addr(), Some("")),
        provider("two", "anthropic", two.addr(), None),
    )
    .await;
    house.answered_by().await;
    let key = house.provider("one").await["keys"][0].clone();
    assert_eq!((&key["state"], &key["recovery"]), (&json!("invalid"), &json!("probe")), "{key}");
    one.set_script(mock::Script::parse("").unwrap());
    let back = async {
        while house.provider("one").await["keys"][0]["state"] != "normal" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.expect("the key came back");
    assert!(house.provider("one").await["keys"][0]["since"].is_string());
    assert_eq!(house.answered_by().await.0, "one");
}
