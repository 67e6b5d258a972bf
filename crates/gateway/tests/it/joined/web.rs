//! Servers behind addresses: another gateway is one, of both eras; and credentials stay at home.

use std::net::SocketAddr;

use gateway::joined::{Hidden, Reach, ServerSettings};
use mcp::client::Transport;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

use super::house::{Joined, script, settings, text_of};

type Seen = Arc<Mutex<Vec<(String, Vec<(String, String)>)>>>;

/// Serves a gateway's router at a port, and notes the headers of every request.
async fn served(house: &Joined) -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let note = move |mut request: axum::extract::Request, next: axum::middleware::Next| {
        let headers = request.headers().iter();
        let headers = headers.map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned()));
        noted.lock().push((request.uri().path().to_owned(), headers.collect()));
        let addr = "127.0.0.1:50002".parse().unwrap();
        request.extensions_mut().insert(gateway::Peer { addr, tls: false });
        async move { next.run(request).await }
    };
    let router = house.gate().router(axum::Router::new());
    let router = router.layer(axum::middleware::from_fn(note));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    gateway::tasks::spawn("served", async move {
        axum::serve(listener, router).await.unwrap();
    });
    (address, seen)
}

fn behind(name: &str, address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> ServerSettings {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), Hidden((*v).to_owned())));
    let url = format!("http://{address}{path}");
    let reach = Reach::Address { url, headers: headers.collect(), transport: Transport::Auto };
    ServerSettings::new(name, reach)
}

#[tokio::test]
async fn a_gateway_joins_another_and_passes_on_no_callers_credential() {
    let far = Joined::with(vec![script("deep", &["echo", "asks"])]).await;
    let (address, seen) = served(&far).await;
    let alone = behind("alone", address, "/mcp/s/deep", &[("x-own", "of-the-gateway")]);
    let near = Joined::with(vec![behind("far", address, "/mcp", &[]), alone]).await;
    let shown = near.show("alone").await;
    assert_eq!(
        (&shown["revision"], &shown["info"]["name"]),
        (&json!("2026-07-28"), &json!("deep"))
    );
    let said = near.call("far__deep__echo", json!({"say": "through two"})).await;
    assert_eq!(text_of(&said), "through two");
    let resources = near.modern("resources/templates/list", &json!({})).await;
    let templates = resources["result"]["resourceTemplates"].as_array().unwrap();
    let uris: Vec<&Value> = templates.iter().map(|template| &template["uriTemplate"]).collect();
    assert!(uris.contains(&&json!("far+rapport://context/{id}")), "{uris:?}");
    // The question goes through both, and so does its answer.
    let can = json!({"elicitation": {}});
    let first = near.modern_with("tools/call", &json!({"name": "alone__asks"}), &can).await;
    let result = &first["result"];
    assert_eq!(result["resultType"], "input_required", "{first}");
    let (key, _) = result["inputRequests"].as_object().unwrap().iter().next().unwrap();
    let answer = json!({key: {"action": "accept", "content": {"name": "Zoe"}}});
    let again = json!({"name": "alone__asks", "requestState": result["requestState"],
                       "inputResponses": answer});
    let done = near.modern_with("tools/call", &again, &can).await;
    assert_eq!(text_of(&done), "Zoe", "{done}");
    // What the caller shows us stays here; what is the gateway's own goes out.
    let params = json!({"name": "alone__echo", "arguments": {"say": "x"}});
    near.modern_as("tools/call", &params, (&json!({}), Some("rap_of_a_caller"))).await;
    let seen = seen.lock();
    assert!(!format!("{seen:?}").contains("rap_of_a_caller"));
    let own = |(path, headers): &(String, Vec<(String, String)>)| {
        path == "/mcp/s/deep"
            && headers.contains(&("x-own".to_owned(), "of-the-gateway".to_owned()))
    };
    assert!(seen.iter().any(own));
}

#[tokio::test]
async fn a_resource_of_another_server_is_read_by_the_name_it_has_here() {
    let far = Joined::of(settings(Vec::new())).await;
    far.post("/api/v1/contexts", &json!({"id": "trip"})).await;
    far.post("/api/v1/contexts/trip/messages", &json!({"role": "user", "content": "to Rome"}))
        .await;
    let (address, _) = served(&far).await;
    let near = Joined::with(vec![behind("far", address, "/mcp", &[])]).await;
    let uri = "far+rapport://context/trip";
    let read = near.modern("resources/read", &json!({"uri": uri})).await;
    let content = &read["result"]["contents"][0];
    assert_eq!(content["uri"], uri, "{read}");
    assert!(content["text"].as_str().unwrap().contains("to Rome"));
    let prompts = near.modern("prompts/list", &json!({})).await;
    let names: Vec<&Value> =
        prompts["result"]["prompts"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert!(names.contains(&&json!("far__continue_context")), "{names:?}");
    let params = json!({"name": "far__continue_context", "arguments": {"id": "trip"}});
    let prompt = near.modern("prompts/get", &params).await;
    assert!(prompt.to_string().contains("to Rome"), "{prompt}");
    let params = json!({"ref": {"type": "ref/prompt", "name": "far__continue_context"},
                        "argument": {"name": "id", "value": "t"}});
    let completed = near.modern("completion/complete", &params).await;
    assert_eq!(completed["result"]["completion"]["values"], json!(["trip"]), "{completed}");
}

#[tokio::test]
async fn a_server_that_goes_away_behind_its_address_is_seen_as_down() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let house = Joined::of(settings(vec![behind("far", address, "/mcp", &[])])).await;
    let shown = house.until("far", "down").await;
    let error = shown["error"].as_str().unwrap();
    assert!(error.contains("refused") && error.contains("server `far`"), "{error}");
}
