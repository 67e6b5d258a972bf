//! What `config init` writes: a commented configuration file and the files that go with it.

use std::fmt::Write;

use super::super::keys::{Key, Kind};
use super::{about, groups, wrap};

const WIDTH: usize = 96;

/// A complete `rapport.yaml` in which every default is a comment.
pub(crate) fn starter() -> String {
    let mut page = String::from(
        "# yaml-language-server: $schema=./rapport.schema.json\n\
         # Settings of Rapport. Everything is optional; a commented line shows the default.\n\
         # Check with `rapport config check`; see what counts with `rapport config show \
         --origin`.\n",
    );
    for (group, keys) in groups() {
        page.push('\n');
        for line in wrap(about(group), WIDTH) {
            line_to(&mut page, &format!("# {line}"));
        }
        let inside = if group.is_empty() { "" } else { "  " };
        if !group.is_empty() {
            line_to(&mut page, &format!("{group}:"));
        }
        if group == "providers" {
            providers(&mut page, &keys);
            continue;
        }
        if group == "routes" {
            routes(&mut page, &keys);
            continue;
        }
        if group == "prompts" {
            prompts(&mut page, &keys);
            continue;
        }
        if group == "mcp" {
            mcp(&mut page, &keys);
            continue;
        }
        for key in keys {
            for line in wrap(key.doc, WIDTH) {
                line_to(&mut page, &format!("{inside}# {line}"));
            }
            let name = key.path.rsplit('.').next().unwrap_or(key.path);
            let start = format!("{inside}# ");
            match key.path {
                "ports.logical.NAME" => {
                    line_to(&mut page, &format!("{start}logical:"));
                    line_to(&mut page, &format!("{start}  619009: 61900"));
                }
                _ => line_to(&mut page, &format!("{start}{name}: {}", written(key))),
            }
        }
    }
    page.push_str(
        "\n# Differences for one purpose; `--profile test` or RAPPORT_PROFILE=test selects one.\n\
         profiles:\n  # test:\n  #   data:\n  #     store: memory\n",
    );
    page
}

/// One example of a provider, with all its keys.
fn providers(page: &mut String, keys: &[&Key]) {
    page.push_str(
        "  # Models appear by themselves when ANTHROPIC_API_KEY, OPENAI_API_KEY, GROQ_API_KEY … is \
         set;\n  # docs/providers.md lists who is known by name. A key is enough for those:\n  \
         # groq:\n  #   api_key: \"${GROQ_API_KEY}\"\n  # Any other server has an address:\n  \
         # mine:\n  #   base_url: http://127.0.0.1:8000/v1\n  #   models: [llama3.3]\n  #\n  \
         # Everything that can be said about a provider:\n  # NAME:\n",
    );
    for key in keys {
        let name = key.path.strip_prefix("providers.NAME.").unwrap_or(key.path);
        // Two keys of the same thing stand side by side, under one name.
        let (name, start) = match name.strip_prefix("keys.NAME.") {
            Some(name) => {
                if name == "key" {
                    page.push_str("  #   keys:\n  #     first:\n");
                }
                (name, "  #       ")
            }
            None => (name, "  #   "),
        };
        for line in wrap(key.doc, WIDTH - 4) {
            line_to(page, &format!("{start}# {line}"));
        }
        match name {
            "headers.NAME" => {
                line_to(page, "  #   headers:");
                line_to(page, "  #     X-Team: search");
            }
            _ => line_to(page, &format!("{start}{name}: {}", written(key))),
        }
    }
}

/// One example of a route, with all its keys.
fn routes(page: &mut String, keys: &[&Key]) {
    page.push_str(
        "  # A name that callers use as a model's; whoever fails is followed by the next:\n  # \
         fast:\n  #   targets: [anthropic/claude-haiku-5-5, openai/gpt-5.4-mini]\n  #\n  # \
         Everything that can be said about a route:\n  # NAME:\n",
    );
    for key in keys {
        let name = key.path.strip_prefix("routes.NAME.").unwrap_or(key.path);
        for line in wrap(key.doc, WIDTH - 4) {
            line_to(page, &format!("  #   # {line}"));
        }
        line_to(page, &format!("  #   {name}: {}", written(key)));
    }
}

/// One example of a kept prompt, with all its keys.
fn prompts(page: &mut String, keys: &[&Key]) {
    page.push_str(
        "  # What MCP clients show as a prompt, and callers use by name:\n  # trip:\n  #   text: \
         Plan {{days}} days in {{city}}.\n  #   arguments: [city Which city, days=3 For how \
         long]\n  #\n  # Everything that can be said about a prompt:\n  # NAME:\n",
    );
    for key in keys {
        let name = key.path.strip_prefix("prompts.NAME.").unwrap_or(key.path);
        for line in wrap(key.doc, WIDTH - 4) {
            line_to(page, &format!("  #   # {line}"));
        }
        line_to(page, &format!("  #   {name}: {}", written(key)));
    }
}

/// One example of a joined server, with all its keys.
fn mcp(page: &mut String, keys: &[&Key]) {
    page.push_str(
        "  # servers:\n  #   files:\n  #     command: npx\n  #     args: [-y, \
         \"@modelcontextprotocol/server-filesystem\", /tmp]\n  #   far:\n  #     url: \
         https://mcp.example.com/mcp\n  #     headers: {Authorization: \"Bearer ${FAR_TOKEN}\"}\n  \
         #\n  # Everything that can be said:\n",
    );
    let mut before = "";
    for key in keys {
        let name = key.path.strip_prefix("mcp.").unwrap_or(key.path);
        let (group, name) = match name.split_once(".NAME.") {
            Some((group, name)) => (group, name),
            None => ("", name),
        };
        if group != before {
            line_to(page, &format!("  # {group}:\n  #   NAME:"));
            before = group;
        }
        let start = if group.is_empty() { "  # " } else { "  #     " };
        for line in wrap(key.doc, WIDTH - 6) {
            line_to(page, &format!("{start}# {line}"));
        }
        match name.strip_suffix(".NAME") {
            Some(name) => line_to(page, &format!("{start}{name}: {{NAME: {}}}", written(key))),
            None => line_to(page, &format!("{start}{name}: {}", written(key))),
        }
    }
}

/// The default as YAML; where there is none, nothing or an example's start.
fn written(key: &Key) -> String {
    match key.kind {
        Kind::List if key.default.is_empty() => "[]".to_owned(),
        Kind::List => format!("[{}]", key.default),
        Kind::Secret if key.path.contains("NAME") => "\"${VARIABLE}\"".to_owned(),
        _ if key.default.is_empty() => "null".to_owned(),
        _ => key.default.to_owned(),
    }
}

fn line_to(page: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _written = writeln!(page, "{}", line.trim_end());
}

/// An example of the secrets that belong into `.env`.
pub(crate) const ENV_EXAMPLE: &str = "\
# Copy to .env and fill in; .env stays out of version control.
# ANTHROPIC_API_KEY=
# OPENAI_API_KEY=
# RAPPORT_SERVER_PORT=61900
# RAPPORT_LOG=info
";

/// Lines for `.gitignore`.
pub(crate) const IGNORED: &[&str] = &[".env", "rapport-data/"];

/// A compose file for a container built from the Dockerfile beside it.
pub(crate) const COMPOSE: &str = "\
services:
  rapport:
    build: .
    # Only this machine reaches it; the container itself has to listen on every address.
    ports: [\"127.0.0.1:61900:61900\"]
    environment:
      MCP_AUTH: auto-dev
      ANTHROPIC_API_KEY: ${ANTHROPIC_API_KEY:-}
      OPENAI_API_KEY: ${OPENAI_API_KEY:-}
    volumes: [\"rapport-data:/data\"]
    stop_grace_period: 15s
volumes:
  rapport-data:
";

/// A Dockerfile that puts a static binary beside the configuration.
pub(crate) const CONTAINERFILE: &str = "\
# Put the rapport binary beside this file, then: docker compose up
FROM debian:stable-slim
RUN useradd --system --create-home rapport && mkdir /data && chown rapport /data
COPY rapport /usr/local/bin/rapport
COPY rapport.yaml /etc/rapport/rapport.yaml
USER rapport
VOLUME /data
EXPOSE 61900
ENTRYPOINT [\"rapport\", \"serve\", \"--config\", \"/etc/rapport/rapport.yaml\"]
CMD [\"--host\", \"0.0.0.0\", \"--data\", \"/data\"]
";
