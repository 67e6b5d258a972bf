//! The endpoint as a client sees it: sessions and subscriptions that outlive their server.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::*;
use crate::server::{About, Ask, Change, Offers, Page, Stop};

/// A server that has next to nothing.
#[derive(Debug)]
struct Plain;

impl Serve for Plain {
    type Caller = ();

    fn about(&self) -> About {
        About::default()
    }

    fn offers(&self) -> Offers {
        Offers { resources: true, ..Offers::default() }
    }

    async fn tools(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(Page::default())
    }

    async fn call(&self, _: &Ask<()>, _: &Map<String, Value>) -> Result<Value, Stop> {
        Ok(json!({"content": []}))
    }

    async fn resources(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(Page::default())
    }

    async fn templates(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(Page::default())
    }

    async fn read(&self, _: &Ask<()>, _: &str) -> Result<Option<Value>, Stop> {
        Ok(None)
    }

    async fn prompts(&self, _: &Ask<()>, _: Option<&str>) -> Result<Page, Refusal> {
        Ok(Page::default())
    }

    async fn prompt(&self, _: &Ask<()>, _: &Map<String, Value>) -> Result<Value, Stop> {
        Err(Refusal::params("none").into())
    }

    async fn complete(&self, _: &Ask<()>, _: &Map<String, Value>) -> Result<Value, Refusal> {
        Ok(json!({"completion": {"values": []}}))
    }
}

fn server() -> Server<Plain> {
    Server::new(Plain, [1; 32])
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in pairs {
        headers.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    headers
}

async fn post(server: &Server<Plain>, headers: &HeaderMap, body: &Value) -> Response<Body> {
    answer(server, (), (&Method::POST, headers), body.to_string().into()).await
}

fn request(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

async fn began(server: &Server<Plain>, version: &str) -> String {
    let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {}});
    let answer = post(server, &headers(&[]), &request("initialize", &params)).await;
    answer.headers().get(SESSION).unwrap().to_str().unwrap().to_owned()
}

/// The next text of a stream that has this in it.
async fn told(stream: &mut Response<Body>, part: &str) -> String {
    let wait = async {
        loop {
            let frame = stream.body_mut().frame().await.expect("the stream goes on").unwrap();
            let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
            if text.contains(part) {
                return text;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| panic!("{part}"))
}

#[tokio::test]
async fn a_subscription_outlives_the_server_without_being_stored() {
    let first = server();
    let session = began(&first, "2025-11-25").await;
    let own = [(SESSION, session.as_str())];
    let mut stream = answer(&first, (), (&Method::GET, &headers(&own)), Bytes::new()).await;
    told(&mut stream, "listening").await;
    for uri in ["a://1", "a://2"] {
        post(&first, &headers(&own), &request("resources/subscribe", &json!({"uri": uri}))).await;
    }
    let gone = request("resources/unsubscribe", &json!({"uri": "a://2"}));
    post(&first, &headers(&own), &gone).await;
    let mut id = String::new();
    // One resource is left: sixteen digits.
    while id.len() != "sub-any-".len() + 16 {
        let event = told(&mut stream, "id: sub-").await;
        id = event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    }

    let second = server();
    let again = [(SESSION, session.as_str()), ("last-event-id", id.as_str())];
    let mut stream = answer(&second, (), (&Method::GET, &headers(&again)), Bytes::new()).await;
    told(&mut stream, &id).await;
    second.changed(Change::Resource("a://2".to_owned()));
    second.changed(Change::Resource("a://1".to_owned()));
    let event = told(&mut stream, "resources/updated").await;
    assert!(event.contains("a://1"), "{event}");

    let stop = request("resources/unsubscribe", &json!({"uri": "a://1"}));
    post(&second, &headers(&own), &stop).await;
    second.changed(Change::Resource("a://1".to_owned()));
    second.changed(Change::Resources);
    let event = told(&mut stream, "notifications/").await;
    assert!(event.contains("list_changed"), "{event}");
}

#[tokio::test]
async fn older_clients_get_no_event_without_data_unless_they_say_they_take_it() {
    let server = server();
    let session = began(&server, "2025-06-18").await;
    let own = [(SESSION, session.as_str())];
    let subscribe = request("resources/subscribe", &json!({"uri": "a://1"}));
    post(&server, &headers(&own), &subscribe).await;
    let mut plain = answer(&server, (), (&Method::GET, &headers(&own)), Bytes::new()).await;
    let first = told(&mut plain, "listening").await;
    assert!(!first.contains("id:"), "{first}");
    let bridge = [(SESSION, session.as_str()), (CARRIES, "1")];
    let mut bridge = answer(&server, (), (&Method::GET, &headers(&bridge)), Bytes::new()).await;
    assert!(told(&mut bridge, "listening").await.contains("id: sub-any-"));
}
