//! Servers of a configuration that a command starts, started through the inspector for a while.

use serde_json::{Map, Value, json};

use super::edit::Format;

/// The members that hold lists of MCP servers in the files that are known.
const GROUPS: &[&str] = &["mcpServers", "servers", "mcp_servers", "context_servers"];
/// The members that hold a server's address.
const ADDRESSES: &[&str] = &["url", "httpUrl", "serverUrl"];

/// An entry of a list of servers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) group: &'static str,
    pub(super) name: String,
    fields: Map<String, Value>,
}

impl Entry {
    /// The address, where it has one.
    pub(super) fn url(&self) -> Option<&str> {
        ADDRESSES.iter().find_map(|name| self.fields.get(*name).and_then(Value::as_str))
    }

    /// The command that starts it and what it is given, where it has one.
    pub(super) fn command(&self) -> Option<(&str, Vec<&str>)> {
        let command = self.fields.get("command")?.as_str().filter(|command| !command.is_empty())?;
        let arguments = self.fields.get("args").and_then(Value::as_array);
        let arguments = arguments.into_iter().flatten().map(Value::as_str);
        Some((command, arguments.collect::<Option<_>>()?))
    }
}

/// How a program is started so that an inspector sees what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Through<'a> {
    /// This program.
    pub(super) program: &'a str,
    /// The inspector's address.
    pub(super) to: &'a str,
}

impl Through<'_> {
    fn words(&self) -> [&str; 5] {
        ["inspect", "--stdio", "--tell", self.to, "--"]
    }

    fn has_wrapped(&self, entry: &Entry) -> bool {
        entry.command().is_some_and(|(_, arguments)| arguments.starts_with(&self.words()))
    }
}

/// The servers of all lists of a text, in their order; nothing where it has none, or is no list.
pub(super) fn entries(format: Format, text: &str) -> Vec<Entry> {
    let of = |group: &&'static str| {
        let group = *group;
        let found = format.find(text, &[group]).ok().flatten();
        let Some(Value::Object(list)) = found else { return Vec::new() };
        let entry = |(name, value): (String, Value)| match value {
            Value::Object(fields) => Some(Entry { group, name, fields }),
            _ => None,
        };
        list.into_iter().filter_map(entry).collect()
    };
    GROUPS.iter().flat_map(of).collect()
}

/// The text with these servers started through the inspector.
///
/// # Errors
/// The name of the server whose entry cannot be changed alone, and why.
pub(super) fn wrapped(
    (format, text): (Format, &str),
    servers: &[Entry],
    through: Through<'_>,
) -> Result<String, String> {
    let mut out = text.to_owned();
    for entry in servers.iter().filter(|entry| !through.has_wrapped(entry)) {
        let Some((command, arguments)) = entry.command() else { continue };
        let words = through.words();
        let all: Vec<&str> = words.into_iter().chain([command]).chain(arguments).collect();
        let mut fields = entry.fields.clone();
        fields.insert("command".to_owned(), through.program.into());
        fields.insert("args".to_owned(), json!(all));
        let set = format.set(&out, &[entry.group, &entry.name], &fields);
        out = set.map_err(|why| format!("`{}`: {why}", entry.name))?;
    }
    Ok(out)
}

/// The text with every server that is started through the inspector started by itself again, as
/// `before` has it where it is there.
pub(super) fn unwrapped(
    (format, text): (Format, &str),
    before: &str,
    through: Through<'_>,
) -> String {
    let old = entries(format, before);
    let mut out = text.to_owned();
    for entry in entries(format, text).into_iter().filter(|entry| through.has_wrapped(entry)) {
        let Some((_, arguments)) = entry.command() else { continue };
        let [command, rest @ ..] = arguments.get(through.words().len()..).unwrap_or_default()
        else {
            continue;
        };
        let mut fields = entry.fields.clone();
        fields.insert("command".to_owned(), (*command).into());
        let known = old.iter().find(|one| one.group == entry.group && one.name == entry.name);
        let had_none = known.is_some_and(|one| !one.fields.contains_key("args"));
        if had_none && rest.is_empty() {
            fields.remove("args");
        } else {
            fields.insert("args".to_owned(), json!(rest));
        }
        // An entry that cannot be changed alone is left to be seen.
        if let Ok(text) = format.set(&out, &[entry.group, &entry.name], &fields) {
            out = text;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"mcpServers\": {\n    \"files\": { \"command\": \"npx\", \
                        \"args\": [\"-y\", \"files\"], \"env\": {\"A\": \"b\"} }, // mine\n    \
                        \"bare\": { \"command\": \"srv\" },\n    \
                        \"far\": { \"url\": \"http://localhost:1/mcp\" },\n  }\n}\n";
    const THROUGH: Through<'_> = Through { program: "/bin/rapport", to: "http://127.0.0.1:8888" };

    #[test]
    fn commands_are_wrapped_alone_and_come_back_after_another_wrote_the_file() {
        let all = entries(Format::Json, TEXT);
        assert_eq!(
            all.iter().filter_map(Entry::url).collect::<Vec<_>>(),
            ["http://localhost:1/mcp"]
        );
        let after = wrapped((Format::Json, TEXT), &all, THROUGH).unwrap();
        let files = entries(Format::Json, &after).into_iter().find(|e| e.name == "files").unwrap();
        let (command, arguments) = files.command().unwrap();
        assert_eq!(command, "/bin/rapport");
        let wanted =
            ["inspect", "--stdio", "--tell", "http://127.0.0.1:8888", "--", "npx", "-y", "files"];
        assert_eq!(arguments, wanted);
        assert!(after.contains("// mine") && after.contains("\"A\": \"b\""), "{after}");
        let twice = wrapped((Format::Json, &after), &entries(Format::Json, &after), THROUGH);
        assert_eq!(twice.unwrap(), after, "what is wrapped is not wrapped again");
        let rewritten = after.replace("// mine", "// theirs");
        let back = unwrapped((Format::Json, &rewritten), TEXT, THROUGH);
        let read = |text: &str| Format::Json.find(text, &[]).unwrap();
        assert_eq!(read(&back), read(TEXT));
        assert!(back.contains("// theirs"), "{back}");
    }

    #[test]
    fn what_is_no_command_is_left_alone() {
        for odd in
            ["", "[]", "{\"servers\": []}", "{\"servers\": {\"a\": 1, \"b\": {\"command\": 2}}}"]
        {
            let all = entries(Format::Json, odd);
            assert_eq!(wrapped((Format::Json, odd), &all, THROUGH), Ok(odd.to_owned()));
        }
        let toml = "[mcp_servers.a]\ncommand = \"x\" # why\n";
        let after = wrapped((Format::Toml, toml), &entries(Format::Toml, toml), THROUGH).unwrap();
        assert!(after.contains("# why") && after.contains("--tell"), "{after}");
        let back = unwrapped((Format::Toml, &after), toml, THROUGH);
        assert_eq!(entries(Format::Toml, &back), entries(Format::Toml, toml));
    }
}
