//! Servers of the Model Context Protocol: how each is reached, and who may use what.

use gateway::joined::{
    AccessSettings, Hidden, McpSettings, OnChange, Reach, SearchMode, ServerSettings, check_name,
};
use mcp::client::oauth::{Grant, OAuthSettings};
use mcp::client::{Program, Transport};

use super::problem::Place;
use super::values::Values;

/// What a child inherits of our environment: enough to run, and no credential.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "SystemRoot",
    "SystemDrive",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMFILES",
    "USERPROFILE",
    "USERNAME",
    "PATHEXT",
    "COMSPEC",
];

/// Every joined server, and the rules.
pub(super) fn all(values: &mut Values<'_>) -> McpSettings {
    let names = values.stack.names("mcp.servers");
    let servers = names.into_iter().filter_map(|name| one(values, &name)).collect();
    let access = values.stack.names("mcp.access");
    let access = access.into_iter().map(|name| rule(values, name)).collect();
    let above = values.size("mcp.search_above");
    let modes =
        [("off", SearchMode::Off), ("on", SearchMode::On), ("auto", SearchMode::Above(above))];
    let search = values.choice("mcp.search", &modes).unwrap_or(SearchMode::Off);
    let models = values.list("mcp.models").0;
    McpSettings { servers, access, search, models }
}

fn rule(values: &mut Values<'_>, name: String) -> AccessSettings {
    let mut list = |last: &str| values.list(&format!("mcp.access.{name}.{last}")).0;
    let (keys, allow, deny) = (list("keys"), list("allow"), list("deny"));
    let at = format!("mcp.access.{name}.descriptions");
    let tools = values.stack.below(&at);
    let words = |tool: String| {
        let text = values.text(&format!("{at}.{tool}"))?;
        Some((tool, text))
    };
    let descriptions = tools.into_iter().filter_map(words).collect();
    AccessSettings { name, keys, allow, deny, descriptions }
}

fn one(values: &mut Values<'_>, name: &str) -> Option<ServerSettings> {
    let at = |field: &str| format!("mcp.servers.{name}.{field}");
    // What only says that a server is not joined says nothing else.
    let enabled = values.bool(&at("enabled"));
    let place = place_of(values, name);
    if let Err(fault) = check_name(name) {
        values.findings.fault(&place, &format!("mcp.servers.{name}"), &fault);
        return None;
    }
    if let Some(flaw) = unset(values, name) {
        let mut settings = ServerSettings::new(name, written(values, name));
        settings.flaw = Some(flaw);
        return enabled.then_some(settings);
    }
    let reach = reach(values, name, &place)?;
    let mut settings = ServerSettings::new(name, reach);
    settings.start = values.duration(&at("start_seconds"));
    settings.silence = values.duration(&at("silence_seconds"));
    settings.tools = values.list(&at("tools")).0;
    settings.hide = values.list(&at("hide")).0;
    settings.keys = values.list(&at("keys")).0;
    settings.approve = values.list(&at("approve")).0;
    settings.oauth = oauth(values, name);
    settings.per_caller = values.bool(&at("per_caller"));
    let changes = [("mark", OnChange::Mark), ("hold", OnChange::Hold)];
    settings.on_change = values.choice(&at("on_change"), &changes).unwrap_or_default();
    let descriptions = values.stack.below(&at("descriptions"));
    settings.descriptions = descriptions
        .into_iter()
        .filter_map(|tool| {
            Some((tool.clone(), values.text(&format!("{}.{tool}", at("descriptions")))?))
        })
        .collect();
    enabled.then_some(settings)
}

/// The variables that a server needs which was added, and which are not set here: it alone cannot
/// be reached then, and everything else goes on.
fn unset(values: &Values<'_>, name: &str) -> Option<String> {
    let group = format!("mcp.servers.{name}");
    let missing = values.stack.below(&group).into_iter().find_map(|field| {
        let given = values.stack.given(&format!("{group}.{field}"))?;
        let added = given.place.file().is_some_and(super::added::is_servers);
        let text = added.then(|| given.value.line())?;
        super::read::interpolate(&text, values.lookup).err()
    })?;
    Some(format!(
        "{missing}: set it for the server and start it again, or `rapport mcp remove {name}`"
    ))
}

/// How a server would be reached, as it is written.
fn written(values: &Values<'_>, name: &str) -> Reach {
    let text = |field: &str| {
        let given = values.stack.given(&format!("mcp.servers.{name}.{field}"))?;
        Some(given.value.line())
    };
    match (text("url"), text("openapi")) {
        (Some(url), _) => Reach::Address { url, headers: Vec::new(), transport: Transport::Auto },
        (None, Some(url)) => {
            let base_url = text("base_url");
            Reach::Api { url: Some(url), document: None, base_url, headers: Vec::new() }
        }
        (None, None) => Reach::Program(Program {
            command: text("command").unwrap_or_default(),
            args: Vec::new(),
            env: Vec::new(),
            folder: None,
        }),
    }
}

/// How we log in there.
fn oauth(values: &mut Values<'_>, name: &str) -> OAuthSettings {
    let at = |field: &str| format!("mcp.servers.{name}.oauth.{field}");
    let grants = [("authorization_code", Grant::Person), ("client_credentials", Grant::Client)];
    OAuthSettings {
        grant: values.choice(&at("grant"), &grants).unwrap_or_default(),
        client_id: values.text(&at("client_id")),
        client_secret: secret(values, &at("client_secret")),
        private_key: secret(values, &at("private_key")),
        issuer: url(values, &at("issuer")),
        scopes: values.list(&at("scopes")).0,
        client_metadata_url: url(values, &at("client_metadata_url")),
    }
}

fn secret(values: &mut Values<'_>, path: &str) -> Option<mcp::client::oauth::Secret> {
    let (secret, _) = values.secret(path)?;
    Some(mcp::client::oauth::Secret::new(secret.expose()))
}

fn reach(values: &mut Values<'_>, name: &str, place: &Place) -> Option<Reach> {
    let at = |field: &str| format!("mcp.servers.{name}.{field}");
    let (command, url) = (values.text(&at("command")), url(values, &at("url")));
    let openapi = values.text(&at("openapi"));
    match (command, url, openapi) {
        (Some(command), None, None) => {
            let command = if command.contains('/') {
                values.absolute(&command, place).display().to_string()
            } else {
                command
            };
            Some(Reach::Program(Program {
                command,
                args: values.list(&at("args")).0,
                env: environment(values, name),
                folder: values.path(&at("folder")),
            }))
        }
        (None, Some(url), None) => {
            let words =
                [("auto", Transport::Auto), ("http", Transport::Http), ("sse", Transport::Sse)];
            let transport = values.choice(&at("transport"), &words).unwrap_or_default();
            Some(Reach::Address { url, headers: hidden(values, &at("headers")), transport })
        }
        (None, None, Some(openapi)) => api(values, name, &openapi),
        _ => {
            let text = format!(
                "joined server `{name}`: write exactly one of `mcp.servers.{name}.command`, `.url` \
                 and `.openapi`"
            );
            values.findings.problem(place, text);
            None
        }
    }
}

fn api(values: &mut Values<'_>, name: &str, openapi: &str) -> Option<Reach> {
    let at = |field: &str| format!("mcp.servers.{name}.{field}");
    let base_url = url(values, &at("base_url"));
    let headers = hidden(values, &at("headers"));
    if openapi.starts_with("http://") || openapi.starts_with("https://") {
        let url = Some(openapi.to_owned());
        return Some(Reach::Api { url, document: None, base_url, headers });
    }
    let (text, place) = super::providers::file(values, &at("openapi"))?;
    // YAML holds JSON, too.
    match serde_saphyr::from_str::<serde_json::Value>(&text) {
        Ok(document) => {
            let document = Some(document.to_string());
            Some(Reach::Api { url: None, document, base_url, headers })
        }
        Err(error) => {
            let text = format!("`{}`: the document cannot be read: {error}", at("openapi"));
            values.findings.problem(&place, text);
            None
        }
    }
}

/// The environment of a child: what every program needs, and what is written for it.
fn environment(values: &mut Values<'_>, name: &str) -> Vec<(String, String)> {
    let inherited =
        INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), (values.lookup)(name)?)));
    let mut all: Vec<(String, String)> = inherited.collect();
    let own = hidden(values, &format!("mcp.servers.{name}.env"));
    for (name, Hidden(value)) in own {
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
    }
    all
}

/// Values that are not shown. Only `file:` makes one a secret that somebody must have locked up:
/// most variables of a program are none.
fn hidden(values: &mut Values<'_>, group: &str) -> Vec<(String, Hidden)> {
    let names = values.stack.below(group);
    let mut all = Vec::new();
    for name in names {
        let path = format!("{group}.{name}");
        let Some(text) = values.text(&path) else { continue };
        let value = if text.starts_with("file:") {
            let Some((secret, _)) = values.secret(&path) else { continue };
            secret.expose().to_owned()
        } else {
            text
        };
        all.push((name, Hidden(value)));
    }
    all
}

fn url(values: &mut Values<'_>, path: &str) -> Option<String> {
    let found = values.found(path)?;
    let text = found.text.trim().to_owned();
    let is_address = text.starts_with("http://") || text.starts_with("https://");
    if !is_address {
        let text = format!(
            "`{path}` cannot be `{text}`: write an address that begins with http:// or https://"
        );
        values.findings.problem(&found.place, text);
        return None;
    }
    if let (_, Some(port)) = super::layer::address::split(&text)
        && let Err(invalid) = doctor::port::parse(port, found.place.for_port())
    {
        values.findings.port(&invalid);
        return None;
    }
    Some(text)
}

/// Where the first setting of a server is written.
fn place_of(values: &Values<'_>, name: &str) -> Place {
    let group = format!("mcp.servers.{name}");
    let paths = values.stack.below(&group);
    let given = paths.iter().find_map(|path| values.stack.given(&format!("{group}.{path}")));
    given.map_or(Place::Default, |given| given.place.clone())
}
