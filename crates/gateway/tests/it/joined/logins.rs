//! Servers that want a log-in: given, kept, replaced, taken back; and those who try to misuse it.

use std::sync::Arc;

use gateway::joined::{Home, Logins};
use mcp::client::oauth::{Grant, Secret};
use serde_json::{Value, json};

use super::house::{Joined, script, settings, text_of};
use super::village::{Drawer, Village, query};

const LOGIN: &str = "/api/v1/mcp/servers/far/login";
const ANSWER: &str = "/api/v1/mcp/servers/far/login/answer";
const REDIRECT: &str = "http://127.0.0.1:50999/callback";

async fn house(village: &Village, drawer: &Arc<Drawer>) -> Joined {
    let servers = vec![village.server("far"), script("near", &["echo"])];
    let logins = Some(Arc::clone(drawer) as Arc<dyn Logins>);
    let house = Joined::at_home(settings(servers), Home { logins, ..Home::default() }).await;
    house.until("near", "ready").await;
    house
}

/// Begins a log-in: the address to visit.
async fn begun(house: &Joined) -> String {
    let begun = house.post(LOGIN, &json!({"redirect_uri": REDIRECT})).await;
    begun["authorization_url"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned()
}

async fn logged_in(house: &Joined, village: &Village) {
    let address = village.agree(&begun(house).await);
    let done = house.post(ANSWER, &json!({"address": address})).await;
    assert_eq!(done["name"], "far", "{done}");
    house.until("far", "ready").await;
}

#[tokio::test]
async fn a_person_logs_in_once_and_the_log_in_outlives_the_program() {
    let (village, drawer) = (Village::new().await, Arc::new(Drawer::default()));
    let first = house(&village, &drawer).await;
    let shown = first.until("far", "needs_login").await;
    assert!(shown["error"].as_str().unwrap().contains("run `rapport mcp login far`"), "{shown}");
    assert_eq!(shown["login"], Value::Null);
    assert_eq!(text_of(&first.call("near__echo", json!({"say": "unharmed"})).await), "unharmed");
    let read = json!({"name": "far__read", "arguments": {}});
    let refused = first.modern("tools/call", &read).await;
    assert_eq!(refused["error"]["code"], -32602, "nobody knows its tools yet: {refused}");

    let asked = query(&begun(&first).await);
    assert_eq!((&*asked["response_type"], &*asked["scope"]), ("code", "read"));
    assert_eq!(asked["resource"], format!("http://{}/mcp", village.address));
    logged_in(&first, &village).await;
    assert_eq!(village.seen.lock().registered.len(), 1, "the same client asks twice");
    assert_eq!(text_of(&first.call("far__read", json!({})).await), "read");
    let shown = first.show("far").await;
    assert_eq!(shown["login"]["scopes"], json!(["read"]));
    assert_eq!(shown["login"]["renews"], true);
    let said = shown.to_string();
    assert!(!said.contains("t0ken") && !said.contains("r3fresh"), "{said}");
    let caller = (&json!({}), Some("rap_of_a_caller"));
    first.modern_as("tools/call", &read, caller).await;
    let all = village.seen.lock().shown.clone();
    assert!(all.iter().all(|shown| shown.starts_with("Bearer t0ken")), "only our own: {all:?}");

    let second = house(&village, &drawer).await;
    second.until("far", "ready").await;
    assert_eq!(village.count("authorization_code"), 1, "nobody was asked again");
}

#[tokio::test]
async fn a_token_that_ended_is_replaced_once_however_many_wait_for_it() {
    let (village, drawer) = (Village::new().await, Arc::new(Drawer::default()));
    let house = house(&village, &drawer).await;
    house.until("far", "needs_login").await;
    logged_in(&house, &village).await;
    village.revoke(false);
    let calls = (0..16).map(|_| house.call("far__read", json!({})));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(text_of(&answer), "read");
    }
    assert_eq!(village.count("refresh_token"), 1);
    let form = village.seen.lock().asked.last().unwrap().clone();
    assert_eq!(form["resource"], format!("http://{}/mcp", village.address));
    // One that says when it ends is replaced before it is shown.
    village.seen.lock().lives = 0;
    village.revoke(false);
    assert_eq!(text_of(&house.call("far__read", json!({})).await), "read");
    let before = (village.count("refresh_token"), village.seen.lock().shown.len());
    assert_eq!(text_of(&house.call("far__read", json!({})).await), "read");
    let now = (village.count("refresh_token"), village.seen.lock().shown.len());
    assert_eq!(now, (before.0 + 1, before.1 + 1), "it was not refused first");
}

#[tokio::test]
async fn a_log_in_that_was_taken_back_is_seen_and_harms_no_other_server() {
    let (village, drawer) = (Village::new().await, Arc::new(Drawer::default()));
    let house = house(&village, &drawer).await;
    house.until("far", "needs_login").await;
    logged_in(&house, &village).await;
    village.revoke(true);
    let refused = text_of(&house.call("far__read", json!({})).await);
    assert!(
        refused.contains("invalid_grant") && refused.contains("rapport mcp login"),
        "{refused}"
    );
    let shown = house.until("far", "needs_login").await;
    assert_eq!(shown["login"], Value::Null);
    assert_eq!(text_of(&house.call("near__echo", json!({"say": "well"})).await), "well");
    assert!(drawer.texts().iter().all(|text| !text.contains("t0ken")), "nothing old is kept");
    logged_in(&house, &village).await;
    assert_eq!(text_of(&house.call("far__read", json!({})).await), "read");
}

#[tokio::test]
async fn logging_out_gives_the_tokens_back() {
    let (village, drawer) = (Village::new().await, Arc::new(Drawer::default()));
    let house = house(&village, &drawer).await;
    house.until("far", "needs_login").await;
    logged_in(&house, &village).await;
    let out = house.house().call("DELETE", LOGIN).await.json();
    assert_eq!(out, json!({"logged_out": "far", "was_logged_in": true, "warning": null}));
    assert_eq!(village.seen.lock().revoked.len(), 2, "both of them");
    house.until("far", "needs_login").await;
    assert_eq!(drawer.texts(), Vec::<String>::new());
    // Once more there is nothing to give back, and that is no fault; nor where nobody logs in.
    for path in [LOGIN, "/api/v1/mcp/servers/near/login"] {
        let again = house.house().call("DELETE", path).await;
        assert_eq!(again.status, http::StatusCode::OK, "{again:?}");
        assert_eq!(again.json()["was_logged_in"], false, "{again:?}");
    }
}

#[tokio::test]
async fn more_rights_are_asked_for_with_those_that_there_are() {
    let (village, drawer) = (Village::new().await, Arc::new(Drawer::default()));
    let house = house(&village, &drawer).await;
    house.until("far", "needs_login").await;
    logged_in(&house, &village).await;
    for _ in 0..2 {
        let refused = text_of(&house.call("far__write", json!({})).await);
        assert!(refused.contains("`write`") && refused.contains("mcp login far"), "{refused}");
    }
    assert_eq!(house.show("far").await["state"], "ready", "the rest still works");
    assert_eq!(text_of(&house.call("far__read", json!({})).await), "read");
    assert_eq!(query(&begun(&house).await)["scope"], "write read");
    logged_in(&house, &village).await;
    assert_eq!(text_of(&house.call("far__write", json!({})).await), "write");
}

#[tokio::test]
async fn a_client_with_credentials_of_its_own_asks_nobody() {
    let village = Village::new().await;
    village.says((true, "authorization_endpoint"), Value::Null);
    let mut server = village.server("far");
    server.oauth.grant = Grant::Client;
    server.oauth.client_id = Some("id".to_owned());
    server.oauth.client_secret = Some(Secret::new("s3cret"));
    let house = Joined::of(settings(vec![server.clone()])).await;
    house.until("far", "ready").await;
    village.revoke(true);
    assert_eq!(text_of(&house.call("far__read", json!({})).await), "read");
    assert_eq!(village.count("client_credentials"), 2);
    assert!(!format!("{server:?}").contains("s3cret"));

    server.oauth.client_secret = Some(Secret::new("wrong"));
    let wrong = Joined::of(settings(vec![server])).await;
    let shown = wrong.until("far", "needs_login").await;
    let error = shown["error"].as_str().unwrap();
    assert!(error.contains("invalid_client") && error.contains("mcp.servers.far.oauth"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_not_the_answer_lets_nobody_in() {
    let (village, drawer) = (Village::new().await, Arc::new(Drawer::default()));
    let house = house(&village, &drawer).await;
    house.until("far", "needs_login").await;
    let answer = async |address: &str| house.post(ANSWER, &json!({"address": address})).await;
    let early = answer(&format!("{REDIRECT}?code=x&state=y")).await;
    assert_eq!(early["code"], "invalid_input", "{early}");

    let good = village.agree(&begun(&house).await);
    let state = &query(&good)["state"];
    for other in [
        good.replace(state.as_str(), "guessed"),
        good.replace("127.0.0.1:50999", "evil.example"),
        good.replace("/callback", "/elsewhere"),
        format!("{good}&state=twice"),
        "nonsense".to_owned(),
        "x".repeat(20_000),
    ] {
        let refused = answer(&other).await;
        assert_eq!(refused["code"], "invalid_input", "{refused}");
    }
    // All of that left the question open.
    let done = answer(&good).await;
    assert_eq!(done["name"], "far", "{done}");
    let again = answer(&good).await;
    assert_eq!(again["code"], "invalid_input", "an answer counts once: {again}");

    // An answer of somebody else, or of nobody, ends it: no code goes anywhere.
    let asked = village.count("authorization_code");
    for twist in ["&iss=http%3A%2F%2Fevil.example", "", "&iss=http%3A%2F%2Fx&error=access_denied"] {
        let good = village.agree(&begun(&house).await);
        let (bare, _) = good.split_once("&iss=").unwrap();
        let refused = answer(&format!("{bare}{twist}")).await;
        assert_eq!(refused["code"], "upstream_error", "{refused}");
    }
    let good = village.agree(&begun(&house).await).replace("code=", "error=access_denied&code=");
    let refused = answer(&good).await;
    assert!(refused["error"].as_str().unwrap().contains("access_denied"), "{refused}");
    assert_eq!(village.count("authorization_code"), asked);
}

#[tokio::test]
async fn what_servers_say_of_themselves_is_not_believed_of_others() {
    let (village, drawer) = (Village::new().await, Arc::new(Drawer::default()));
    let house = house(&village, &drawer).await;
    house.until("far", "needs_login").await;
    let (resource, authority) = {
        let state = village.seen.lock();
        (state.resource.clone(), state.authority.clone())
    };
    let evil = "https://evil.example";
    for (member, value, says) in [
        ((false, "resource"), json!("https://evil.example/mcp"), "describes"),
        ((false, "authorization_servers"), json!(["http://192.0.2.1:9"]), "not encrypted"),
        ((false, "authorization_servers"), json!(["file:///etc/passwd"]), "no address"),
        ((false, "resource"), json!(7), "not usable"),
        ((true, "issuer"), json!(evil), "is of the issuer"),
        ((true, "issuer"), json!(format!("http://{}/", village.address)), "is of the issuer"),
        ((true, "code_challenge_methods_supported"), json!(["plain"]), "PKCE"),
        ((true, "authorization_endpoint"), json!("javascript:alert(1)"), "no address"),
        ((true, "token_endpoint"), json!("http://192.0.2.1/t"), "not encrypted"),
        ((true, "token_endpoint"), Value::Null, "not usable"),
        ((true, "registration_endpoint"), Value::Null, "register"),
    ] {
        village.says(member, value.clone());
        let refused = house.post(LOGIN, &json!({"redirect_uri": REDIRECT})).await;
        let error = refused["error"].as_str().unwrap_or_default();
        assert!(error.contains(says), "{member:?} {value}: {refused}");
        let mut state = village.seen.lock();
        (state.resource, state.authority) = (resource.clone(), authority.clone());
    }
    assert_eq!(village.seen.lock().asked.len(), 0, "nothing was shown to anybody");
    logged_in(&house, &village).await;
}

#[tokio::test]
async fn credentials_that_were_registered_with_one_are_not_shown_to_another() {
    let (village, other) = (Village::new().await, Village::new().await);
    let mut server = village.server("far");
    server.oauth.client_id = Some("id".to_owned());
    server.oauth.client_secret = Some(Secret::new("s3cret"));
    let house = Joined::of(settings(vec![server])).await;
    house.until("far", "needs_login").await;
    logged_in(&house, &village).await;
    // The server is taken over, and names somebody else.
    let theirs = format!("http://{}", other.address);
    village.says((false, "authorization_servers"), json!([theirs]));
    village.revoke(false);
    let refused = text_of(&house.call("far__read", json!({})).await);
    assert!(refused.contains("another authorization server"), "{refused}");
    assert_eq!(village.count("refresh_token"), 0);
    let refused = house.post(LOGIN, &json!({"redirect_uri": REDIRECT})).await;
    assert!(refused["error"].as_str().unwrap().contains("oauth.issuer"), "{refused}");
    assert!(other.seen.lock().asked.is_empty() && other.seen.lock().registered.is_empty());
}

#[tokio::test]
async fn a_log_in_that_cannot_be_is_refused_with_what_would_be_right() {
    let (village, drawer) = (Village::new().await, Arc::new(Drawer::default()));
    let house = house(&village, &drawer).await;
    for bad in ["https://evil.example/x", "http://10.0.0.1/x", "nothing", "http://127.0.0.1:1/#a"] {
        let refused = house.post(LOGIN, &json!({"redirect_uri": bad})).await;
        assert_eq!(refused["code"], "invalid_input", "{bad}: {refused}");
    }
    let program = "/api/v1/mcp/servers/near/login";
    let refused = house.post(program, &json!({"redirect_uri": REDIRECT})).await;
    assert!(refused["hint"].as_str().unwrap().contains("`env`"), "{refused}");
    let nobody = "/api/v1/mcp/servers/none/login";
    let refused = house.post(nobody, &json!({"redirect_uri": REDIRECT})).await;
    assert_eq!(refused["code"], "not_found");
}
