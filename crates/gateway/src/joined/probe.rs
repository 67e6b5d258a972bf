//! Looks at a server from outside: reached once, listed, left.

use std::sync::Arc;
use std::time::Duration;

use mcp::client::oauth::Store;
use mcp::client::{Failure, Opening, Place, Pulse, Upstream, Web};
use serde_json::Value;
use tokio::time::Instant;

use super::listing::name_of;
use super::openapi::Api;
use super::outside::Outside;
use super::settings::{Reach, ServerSettings};
use crate::client::Tls;

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The revision that was agreed; nothing for an API of another kind.
    pub revision: Option<String>,
    /// Its name and version, as it says.
    pub info: Value,
    /// The names of its tools.
    pub tools: Vec<String>,
    /// How many resources, templates and prompts it has.
    pub others: [usize; 3],
    /// From the start to the last list.
    pub took: Duration,
    /// What it wrote to standard error.
    pub complaints: Vec<String>,
    /// What it wrote to standard output that is no message.
    pub garbage: Option<String>,
}

/// Reaches a server, asks for its lists and leaves it. A log-in that is `kept` is shown as it is
/// and never replaced: that is for the server whose it is.
///
/// # Errors
/// Why that did not work, in words.
pub async fn probe(
    settings: &ServerSettings,
    local_only: bool,
    kept: Option<Arc<dyn Store>>,
) -> Result<Report, String> {
    if let Some(flaw) = &settings.flaw {
        return Err(flaw.clone());
    }
    let started = Instant::now();
    let web: Arc<dyn Web> = Arc::new(Outside::new(&settings.name, Tls::default(), local_only));
    let login = super::login::borrowed(settings, (&web, kept));
    let place = match &settings.reach {
        Reach::Program(program) => Place::Program(program.clone(), None),
        Reach::Address { url, headers, transport } => Place::Address {
            web,
            url: url.parse().map_err(|_bad| format!("`{url}` is no address"))?,
            headers: super::headers(headers).map_err(|failure| failure.to_string())?,
            login,
            transport: *transport,
        },
        Reach::Api { .. } => {
            let api = Api::open(&settings.reach, web).await?;
            let tools = api.tools();
            return Ok(Report {
                revision: None,
                info: api.info(),
                tools: tools.iter().filter_map(name_of).map(ToOwned::to_owned).collect(),
                others: [0; 3],
                took: started.elapsed(),
                complaints: Vec::new(),
                garbage: None,
            });
        }
    };
    let opening = Opening {
        about: super::joint::about(),
        place,
        within: settings.start,
        before: None,
        pulse: Pulse::default(),
    };
    let found = async {
        let upstream = mcp::client::open(&opening).await?;
        let lists = lists(&upstream).await?;
        let counts: Vec<usize> = lists.iter().skip(1).map(Vec::len).collect();
        let tools = lists.first().into_iter().flatten();
        let report = Report {
            revision: Some(upstream.hello().revision.name().to_owned()),
            info: upstream.hello().info.clone(),
            tools: tools.filter_map(name_of).map(ToOwned::to_owned).collect(),
            others: counts.try_into().unwrap_or_default(),
            took: started.elapsed(),
            complaints: upstream.complaints(),
            garbage: upstream.garbage(),
        };
        upstream.close();
        Ok::<_, Failure>(report)
    };
    found.await.map_err(|failure| match failure {
        Failure::Unauthorized(_) => {
            format!("{failure}: {}", super::login::how_to(settings))
        }
        other => other.to_string(),
    })
}

/// Everything that it offers: tools, resources, templates, prompts.
async fn lists(upstream: &Upstream) -> Result<Vec<Vec<Value>>, Failure> {
    let mut lists = Vec::new();
    for (capability, method, field) in [
        ("tools", "tools/list", "tools"),
        ("resources", "resources/list", "resources"),
        ("resources", "resources/templates/list", "resourceTemplates"),
        ("prompts", "prompts/list", "prompts"),
    ] {
        lists.push(if upstream.hello().has(capability) {
            match upstream.list(method, field).await {
                Err(Failure::Refused(_)) if method.contains("templates") => Vec::new(),
                other => other?,
            }
        } else {
            Vec::new()
        });
    }
    Ok(lists)
}
