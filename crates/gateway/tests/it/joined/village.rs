//! A server that wants a log-in and the authorization server that knows its users, in one place.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::joined::{Logins, Reach, ServerSettings};
use mcp::client::Transport;
use mcp::client::oauth::Store;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What the two do, and what they saw.
#[derive(Debug, Default)]
pub(super) struct Doings {
    /// Members of the two documents that are otherwise than usual.
    pub(super) resource: Value,
    pub(super) authority: Value,
    /// Seconds that a token lives.
    pub(super) lives: u64,
    /// Access tokens that are good, with their rights.
    tokens: HashMap<String, String>,
    refreshes: HashMap<String, String>,
    /// Codes, with the challenge and the rights that they were asked with.
    codes: HashMap<String, (String, String)>,
    made: u64,
    /// Forms that came to the endpoint for tokens, and those for taking them back.
    pub(super) asked: Vec<HashMap<String, String>>,
    pub(super) revoked: Vec<String>,
    pub(super) registered: Vec<Value>,
    /// Every `Authorization` that the server was shown.
    pub(super) shown: Vec<String>,
}

pub(super) type Seen = Arc<Mutex<Doings>>;

/// Both of them, at one port.
pub(super) struct Village {
    pub(super) address: SocketAddr,
    pub(super) seen: Seen,
}

impl Village {
    pub(super) async fn new() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        {
            let mut state = seen.lock();
            let own = format!("http://{address}");
            state.lives = 3600;
            state.resource = json!({"resource": format!("{own}/mcp"),
                "authorization_servers": [&own], "scopes_supported": ["read"]});
            state.authority = json!({"issuer": &own, "token_endpoint": format!("{own}/token"),
                "authorization_endpoint": format!("{own}/authorize"),
                "registration_endpoint": format!("{own}/register"),
                "revocation_endpoint": format!("{own}/revoke"),
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
                "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"]});
        }
        let described = async |State(seen): State<Seen>| Json(seen.lock().resource.clone());
        let known = async |State(seen): State<Seen>| Json(seen.lock().authority.clone());
        let router = Router::new()
            .route("/.well-known/oauth-protected-resource/mcp", get(described))
            .route("/.well-known/oauth-authorization-server", get(known))
            .route("/register", post(register))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .route("/mcp", post(serve))
            .with_state(Arc::clone(&seen));
        gateway::tasks::spawn("village", async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { address, seen }
    }

    pub(super) fn server(&self, name: &str) -> ServerSettings {
        let url = format!("http://{}/mcp", self.address);
        let reach = Reach::Address { url, headers: Vec::new(), transport: Transport::Http };
        ServerSettings::new(name, reach)
    }

    /// A person agrees: where the browser is sent to.
    pub(super) fn agree(&self, address: &str) -> String {
        let fields = query(address);
        let mut state = self.seen.lock();
        state.made += 1;
        let code = format!("c0de{}", state.made);
        let scope = fields.get("scope").cloned().unwrap_or_default();
        state.codes.insert(code.clone(), (fields["code_challenge"].clone(), scope));
        let (redirect, asked) = (&fields["redirect_uri"], &fields["state"]);
        format!("{redirect}?code={code}&state={asked}&iss=http%3A%2F%2F{}", self.address)
    }

    /// The tokens that were given are good no more; with what they are replaced by, if `all`.
    pub(super) fn revoke(&self, all: bool) {
        let mut state = self.seen.lock();
        state.tokens.clear();
        if all {
            state.refreshes.clear();
        }
    }

    /// How often tokens were asked for with this grant.
    pub(super) fn count(&self, grant: &str) -> usize {
        let state = self.seen.lock();
        state.asked.iter().filter(|form| form["grant_type"] == grant).count()
    }

    /// Changes a member of what the authorization server, or else the server, says of itself.
    pub(super) fn says(&self, (of_authority, member): (bool, &str), value: Value) {
        let mut state = self.seen.lock();
        let document = if of_authority { &mut state.authority } else { &mut state.resource };
        document[member] = value;
    }
}

/// The fields of an address.
pub(super) fn query(address: &str) -> HashMap<String, String> {
    let uri: Uri = address.parse().unwrap();
    let axum::extract::Query(fields) = axum::extract::Query::try_from_uri(&uri).unwrap();
    fields
}

async fn register(State(seen): State<Seen>, Json(body): Json<Value>) -> Response {
    let mut state = seen.lock();
    state.registered.push(body);
    let id = format!("client{}", state.registered.len());
    (StatusCode::CREATED, Json(json!({"client_id": id}))).into_response()
}

async fn token(State(seen): State<Seen>, headers: HeaderMap, body: String) -> Response {
    let form = query(&format!("http://form/?{body}"));
    let mut state = seen.lock();
    state.asked.push(form.clone());
    let no = |code: &str| {
        let body = json!({"error": code, "error_description": "not with that"});
        (StatusCode::BAD_REQUEST, Json(body)).into_response()
    };
    let scope = match form["grant_type"].as_str() {
        "authorization_code" => {
            let Some((challenge, scope)) = state.codes.remove(&form["code"]) else {
                return no("invalid_grant");
            };
            let proof = URL_SAFE_NO_PAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()));
            if proof != challenge {
                return no("invalid_grant");
            }
            scope
        }
        "refresh_token" => match state.refreshes.remove(&form["refresh_token"]) {
            Some(scope) => scope,
            None => return no("invalid_grant"),
        },
        "client_credentials" => {
            // `id` and `s3cret`.
            let basic = headers.get("authorization").map(|value| value.to_str().unwrap());
            if basic != Some("Basic aWQ6czNjcmV0") {
                return no("invalid_client");
            }
            form.get("scope").cloned().unwrap_or_default()
        }
        _ => return no("unsupported_grant_type"),
    };
    state.made += 1;
    let (access, refresh) = (format!("t0ken{}", state.made), format!("r3fresh{}", state.made));
    state.tokens.insert(access.clone(), scope.clone());
    state.refreshes.insert(refresh.clone(), scope.clone());
    Json(json!({"access_token": access, "token_type": "Bearer", "expires_in": state.lives,
                "refresh_token": refresh, "scope": scope}))
    .into_response()
}

async fn revoke(State(seen): State<Seen>, body: String) {
    let form = query(&format!("http://form/?{body}"));
    let mut state = seen.lock();
    let token = &form["token"];
    state.tokens.remove(token);
    state.refreshes.remove(token);
    state.revoked.push(token.clone());
}

/// The server itself: two tools, one of which wants the right `write`.
async fn serve(State(seen): State<Seen>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut state = seen.lock();
    let shown = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    state.shown.extend(shown.clone());
    let token = shown.as_deref().and_then(|shown| shown.strip_prefix("Bearer "));
    let host = headers["host"].to_str().unwrap();
    let place = format!("http://{host}/.well-known/oauth-protected-resource/mcp");
    let denied = |status: StatusCode, words: String| {
        let challenge = format!("Bearer {words}resource_metadata=\"{place}\"");
        (status, [("www-authenticate", challenge)]).into_response()
    };
    let Some(scope) = token.and_then(|token| state.tokens.get(token)) else {
        return denied(StatusCode::UNAUTHORIZED, String::new());
    };
    let wants = body["params"]["name"] == "write" && body["method"] == "tools/call";
    if wants && !scope.split(' ').any(|right| right == "write") {
        let words = "error=\"insufficient_scope\", scope=\"write\", ".to_owned();
        return denied(StatusCode::FORBIDDEN, words);
    }
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    let result = match body["method"].as_str().unwrap() {
        "server/discover" => json!({"supportedVersions": ["2026-07-28"], "ttlMs": 0,
            "capabilities": {"tools": {}}, "cacheScope": "private", "resultType": "complete"}),
        "tools/list" => json!({"tools": [tool("read"), tool("write")], "ttlMs": 0,
            "cacheScope": "private", "resultType": "complete"}),
        "tools/call" => json!({"resultType": "complete",
            "content": [{"type": "text", "text": body["params"]["name"]}]}),
        _ => {
            let error = json!({"code": -32601, "message": "what?"});
            let body = json!({"jsonrpc": "2.0", "id": body["id"], "error": error});
            return (StatusCode::NOT_FOUND, Json(body)).into_response();
        }
    };
    Json(json!({"jsonrpc": "2.0", "id": body["id"], "result": result})).into_response()
}

/// Keeps log-ins over a restart.
#[derive(Debug, Default)]
pub(super) struct Drawer(Arc<Mutex<HashMap<String, String>>>);

#[derive(Debug)]
struct One(Arc<Mutex<HashMap<String, String>>>, String);

impl Drawer {
    pub(super) fn texts(&self) -> Vec<String> {
        self.0.lock().values().cloned().collect()
    }
}

impl Logins for Drawer {
    fn of(&self, server: &str, url: &str) -> Arc<dyn Store> {
        Arc::new(One(Arc::clone(&self.0), format!("{server} {url}")))
    }
}

impl Store for One {
    fn load(&self) -> Option<String> {
        self.0.lock().get(&self.1).cloned()
    }

    fn store(&self, text: Option<&str>) {
        match text {
            Some(text) => self.0.lock().insert(self.1.clone(), text.to_owned()),
            None => self.0.lock().remove(&self.1),
        };
    }
}
