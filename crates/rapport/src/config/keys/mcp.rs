//! Servers of the Model Context Protocol that are joined.

use super::Change::Live;
use super::Kind::{Bool, Choice, Count, Duration, List, Path, Secret, Text, Url};
use super::{Key, key};

/// The keys of joined servers.
pub(super) const KEYS: &[Key] = &[
    key(
        "mcp.search",
        Choice(&["off", "on", "auto"]),
        "off",
        Live,
        "Shows clients two tools instead of all joined ones: one finds tools, one runs them. \
         `auto` does so above `mcp.search_above` tools.",
    ),
    key("mcp.search_above", Count(1, 10_000), "40", Live, "See `mcp.search`."),
    key(
        "mcp.models",
        List,
        "",
        Live,
        "Models that clients may ask by the tool `ask_model`, without a conversation: names as \
         `rapport model list` shows them, `*` stands for anything. Empty: there is no such tool.",
    ),
    key(
        "mcp.servers.NAME.command",
        Text,
        "",
        Live,
        "The program of a server over a pipe. It sees PATH, HOME and the like, and what `env` \
         says.",
    ),
    key("mcp.servers.NAME.args", List, "", Live, "Its arguments."),
    key("mcp.servers.NAME.env.NAME", Secret, "", Live, "A variable of its environment."),
    key("mcp.servers.NAME.folder", Path, "", Live, "Where it runs."),
    key("mcp.servers.NAME.url", Url, "", Live, "The address of a server behind HTTP."),
    key(
        "mcp.servers.NAME.transport",
        Choice(&["auto", "http", "sse"]),
        "auto",
        Live,
        "What the address speaks: Streamable HTTP, or the old stream of events.",
    ),
    key("mcp.servers.NAME.headers.NAME", Secret, "", Live, "A header of every request to it."),
    key(
        "mcp.servers.NAME.oauth.grant",
        Choice(&["authorization_code", "client_credentials"]),
        "authorization_code",
        Live,
        "How a token is got where the server wants a log-in: a person agrees once, by `rapport mcp \
         login`, or our own credentials are enough.",
    ),
    key(
        "mcp.servers.NAME.oauth.client_id",
        Text,
        "",
        Live,
        "The id of a client that was registered by hand, for authorization servers that register \
         none by themselves.",
    ),
    key("mcp.servers.NAME.oauth.client_secret", Secret, "", Live, "Its secret, if it has one."),
    key(
        "mcp.servers.NAME.oauth.private_key",
        Secret,
        "",
        Live,
        "A private key in PEM that signs instead of a secret, such as `file:key.pem`.",
    ),
    key(
        "mcp.servers.NAME.oauth.issuer",
        Url,
        "",
        Live,
        "The authorization server that knows this client: no other is shown its credentials.",
    ),
    key(
        "mcp.servers.NAME.oauth.scopes",
        List,
        "",
        Live,
        "Rights that are always asked for; without them, those that the server names.",
    ),
    key(
        "mcp.servers.NAME.oauth.client_metadata_url",
        Url,
        "",
        Live,
        "An https address with the client's description, which some authorization servers take \
         as its id.",
    ),
    key(
        "mcp.servers.NAME.openapi",
        Text,
        "",
        Live,
        "An OpenAPI 3 document, a file or an address: every operation becomes a tool.",
    ),
    key(
        "mcp.servers.NAME.base_url",
        Url,
        "",
        Live,
        "Where that API is, instead of where its document says.",
    ),
    key(
        "mcp.servers.NAME.tools",
        List,
        "",
        Live,
        "Only these of its tools are offered; `*` stands for anything.",
    ),
    key("mcp.servers.NAME.hide", List, "", Live, "These of its tools are not offered."),
    key(
        "mcp.servers.NAME.keys",
        List,
        "",
        Live,
        "Only callers with these keys, by name or id, see the server. `local` is a caller without \
         a key.",
    ),
    key(
        "mcp.servers.NAME.approve",
        List,
        "",
        Live,
        "Tools that a model may not use by itself within a turn.",
    ),
    key(
        "mcp.servers.NAME.descriptions.NAME",
        Text,
        "",
        Live,
        "Another description of a tool than the server's own.",
    ),
    key(
        "mcp.servers.NAME.on_change",
        Choice(&["mark", "hold"]),
        "mark",
        Live,
        "What becomes of a tool whose definition changed: it is marked, or held back until it is \
         accepted.",
    ),
    key(
        "mcp.servers.NAME.per_caller",
        Bool,
        "false",
        Live,
        "Each key gets a connection, and so a process, of its own.",
    ),
    key(
        "mcp.servers.NAME.start_seconds",
        Duration,
        "60s",
        Live,
        "How long it may take to start and to say what it offers.",
    ),
    key(
        "mcp.servers.NAME.silence_seconds",
        Duration,
        "120s",
        Live,
        "How long a call may be without a sign of life.",
    ),
    key("mcp.servers.NAME.enabled", Bool, "true", Live, "Whether it is joined."),
    key(
        "mcp.access.NAME.keys",
        List,
        "",
        Live,
        "Whom a rule holds for: names or ids of keys; `local` is a caller without a key.",
    ),
    key(
        "mcp.access.NAME.allow",
        List,
        "",
        Live,
        "Only these tools, by the names they are offered under, such as `github__*`.",
    ),
    key("mcp.access.NAME.deny", List, "", Live, "Not these."),
    key(
        "mcp.access.NAME.descriptions.NAME",
        Text,
        "",
        Live,
        "Another description of a tool for these callers, by the name it is offered under.",
    ),
];
