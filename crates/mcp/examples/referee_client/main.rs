//! The client that the protocol's referee tests: it goes through one scenario and ends.
//!
//! `referee_client ADDRESS`, with the scenario in `MCP_CONFORMANCE_SCENARIO`, the revision in
//! `MCP_CONFORMANCE_PROTOCOL_VERSION` and what belongs to it in `MCP_CONFORMANCE_CONTEXT`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::exit,
    clippy::panic,
    reason = "a program for tests"
)]

mod browser;
mod scenario;
mod way;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use mcp::Revision;
use mcp::client::oauth::{Grant, OAuth, OAuthSettings, Parts, Secret, Store};
use mcp::client::{Opening, Place, Pulse, Transport, Web, open};
use mcp::server::About;
use serde_json::Value;

use browser::Browser;
use way::Way;

/// Where a description of this client would stand; the referee knows the address.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a program for tests")]
    std::env::var(name).ok()
}

#[tokio::main]
async fn main() {
    let address = std::env::args().next_back().expect("an address");
    let scenario = variable("MCP_CONFORMANCE_SCENARIO").expect("a scenario");
    let context = variable("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let context: Value = serde_json::from_str(&context).unwrap_or_default();
    let version = variable("MCP_CONFORMANCE_PROTOCOL_VERSION").unwrap_or_default();
    let before = Revision::parse(&version).unwrap_or(Revision::LEGACY);
    let web: Arc<dyn Web> = Arc::new(Way);
    let server: http::Uri = address.parse().expect("an address");
    let login = OAuth::new(Parts {
        web: Arc::clone(&web),
        server: server.clone(),
        name: "Rapport".to_owned(),
        settings: settings(&scenario, &context),
        store: Arc::new(Memory::default()),
        person: Some(Arc::new(Browser)),
    });
    let place = Place::Address {
        web,
        url: server,
        headers: HeaderMap::new(),
        login: Some(login),
        transport: Transport::Http,
    };
    let about = About {
        name: "referee-client".to_owned(),
        version: "1.0.0".to_owned(),
        ..About::default()
    };
    let within = Duration::from_secs(20);
    let opening = Opening { about, place, within, before: Some(before), pulse: Pulse::default() };
    let done = async {
        let upstream = open(&opening).await?;
        scenario::play(&upstream, &scenario, &context).await?;
        upstream.close();
        Ok::<_, mcp::client::Failure>(())
    };
    if let Err(failure) = Box::pin(done).await {
        eprintln!("{scenario}: {failure}");
        std::process::exit(1);
    }
}

/// What somebody would have configured for this scenario.
fn settings(scenario: &str, context: &Value) -> OAuthSettings {
    let text = |name: &str| context[name].as_str().map(ToOwned::to_owned);
    let by_itself = scenario.contains("client-credentials");
    OAuthSettings {
        grant: if by_itself { Grant::Client } else { Grant::Person },
        client_id: text("client_id"),
        client_secret: text("client_secret").map(Secret::new),
        private_key: text("private_key_pem").map(Secret::new),
        issuer: text("issuer"),
        scopes: Vec::new(),
        client_metadata_url: scenario.ends_with("cimd").then(|| DOCUMENT.to_owned()),
    }
}

/// Keeps a log-in for as long as the program runs.
#[derive(Debug, Default)]
struct Memory(Mutex<Option<String>>);

impl Store for Memory {
    fn load(&self) -> Option<String> {
        self.0.lock().unwrap().clone()
    }

    fn store(&self, text: Option<&str>) {
        *self.0.lock().unwrap() = text.map(ToOwned::to_owned);
    }
}
