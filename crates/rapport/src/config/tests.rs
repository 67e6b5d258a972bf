//! What a configuration means, from files as users write them.

use std::path::PathBuf;
use std::time::Duration;

use super::{Environment, Flag, Inputs, Loaded, Refused, load, reload, show};

/// A working directory with files, and what is set around it.
struct Desk {
    dir: tempfile::TempDir,
    inputs: Inputs,
}

impl Desk {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let inputs = Inputs { folder: dir.path().to_owned(), ..Inputs::default() };
        Self { dir, inputs }.env(&[])
    }

    fn env(mut self, variables: &[(&str, &str)]) -> Self {
        let home = self.dir.path().join("home").display().to_string();
        let mut all = vec![("HOME", home.as_str())];
        all.extend(variables);
        self.inputs.env = Environment::with(&all);
        self
    }

    fn flag(mut self, key: &'static str, name: &'static str, value: &str) -> Self {
        self.inputs.flags.push(Flag { key, name, value: value.to_owned() });
        self
    }

    fn load(&self) -> Loaded {
        load(&self.inputs).unwrap_or_else(|refused| panic!("{refused}"))
    }

    /// The problems, without the folder's name.
    fn refused(&self) -> Vec<String> {
        let refused: Refused = load(&self.inputs).unwrap_err();
        let folder = format!("{}/", self.dir.path().display());
        refused.problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }
}

fn row(loaded: &Loaded, key: &str) -> show::Row {
    show::rows(loaded).into_iter().find(|row| row.key == key).unwrap()
}

#[test]
fn without_any_source_the_defaults_of_the_request_path_count() {
    let config = Desk::new(&[]).load().config;
    let limits = gateway::settings::Limits::default();
    assert_eq!(format!("{:?}", config.gateway.limits), format!("{limits:?}"));
    let models = gateway::settings::ModelSettings::default();
    assert_eq!(format!("{:?}", config.gateway.models), format!("{models:?}"));
    assert!(config.gateway.providers.is_empty());
    assert_eq!(config.hosts, ["localhost"]);
    assert_eq!(config.ports.port, 61900);
    assert!(config.data.ends_with("home/.local/share/rapport"), "{:?}", config.data);
    assert_eq!(config.log.dir, Some(config.data.join("logs")));
}

#[test]
fn a_flag_wins_over_the_environment_over_dotenv_over_the_file_over_the_default() {
    let file = ("rapport.yaml", "server:\n  port: 5001\n");
    let dotenv = (".env", "PORT=5002\n");
    let port = |desk: &Desk| desk.load().config.ports.port;
    assert_eq!(port(&Desk::new(&[])), 61900);
    assert_eq!(port(&Desk::new(&[file])), 5001);
    assert_eq!(port(&Desk::new(&[file, dotenv])), 5002);
    let desk = Desk::new(&[file, dotenv]).env(&[("PORT", "5003")]);
    assert_eq!(port(&desk), 5003);
    let desk = desk.env(&[("PORT", "5003"), ("RAPPORT_PORT", "5004")]);
    assert_eq!(port(&desk), 5004);
    let desk =
        desk.env(&[("PORT", "5003"), ("RAPPORT_PORT", "5004"), ("RAPPORT_SERVER_PORT", "5005")]);
    assert_eq!(port(&desk), 5005);
    let desk = desk.flag("server.port", "--port", "5006");
    let loaded = desk.load();
    assert_eq!(loaded.config.ports.port, 5006);
    let row = row(&loaded, "server.port");
    assert_eq!(row.source, "flag --port");
    assert_eq!(row.overridden.len(), 5, "{row:?}");
    assert!(row.overridden[4].ends_with("rapport.yaml:2"), "{row:?}");
}

#[test]
fn every_format_says_the_same() {
    for (name, text) in [
        ("rapport.yaml", "server:\n  port: 8001\n  allowed_hosts: [a, b]\nlimits:\n  queue: 2m\n"),
        ("rapport.yml", "server: {port: '8001', allowed_hosts: 'a, b'}\nlimits: {queue: 120}\n"),
        (
            "rapport.json",
            "{\n\t\"server\": {\"port\": 8001, \"allowed_hosts\": [\"a\", \"b\"]},\n\
             \"limits\": {\"queue\": \"2m\"}}",
        ),
        (
            "rapport.toml",
            "[server]\nport = 8_001\nallowed_hosts = [\"a\", \"b\"]\n[limits]\nqueue = \"2m\"\n",
        ),
        (
            "rapport.properties",
            "# c\nserver.port=8001\nserver.allowed_hosts = a,b\nlimits.queue: 2m\n",
        ),
    ] {
        let config = Desk::new(&[(name, text)]).load().config;
        assert_eq!(config.ports.port, 8001, "{name}");
        assert_eq!(config.gateway.allowed_hosts, ["a", "b"], "{name}");
        assert_eq!(config.gateway.limits.queue, Duration::from_mins(2), "{name}");
    }
}

#[test]
fn all_problems_are_reported_together_each_with_its_place() {
    let file = "server:\n  port: many\n  prot: 1\nlimits:\n  turns: 0\nauth:\n  mode: open\n\
                data:\n  dir: [a, b]\nports: x\n";
    let desk = Desk::new(&[("rapport.yaml", file)]).env(&[("RAPPORT_LIMITS_QUEUE", "soon")]).flag(
        "log.level",
        "--log-level",
        "loud",
    );
    let problems = desk.refused();
    for wanted in [
        "`many`",
        "rapport.yaml:3: unknown key `server.prot`: did you mean `server.port`?",
        "rapport.yaml:5: `limits.turns` cannot be `0`: write a whole number from 1 to 1000000",
        "rapport.yaml:7: `auth.mode` cannot be `open`: write one of `auto`, `required`, `auto-dev`",
        "rapport.yaml:9: `data.dir` is a list: write a path",
        "rapport.yaml:10: `ports` is a group: write its keys below it, such as `ports.",
        "environment variable RAPPORT_LIMITS_QUEUE: `limits.queue` cannot be `soon`",
        "flag --log-level: `log.level` cannot be `loud`",
    ] {
        assert!(problems.iter().any(|problem| problem.contains(wanted)), "{wanted}: {problems:#?}");
    }
    assert_eq!(problems.len(), 8, "{problems:#?}");
}

#[test]
fn syntax_errors_name_file_line_column_and_problem() {
    for (name, text, start) in [
        ("rapport.yaml", "server:\n  port: 1\n bad\n  x: [", "rapport.yaml:"),
        ("rapport.json", "{\n  \"server\": {\"port\": 1,}\n}", "rapport.json:2: Invalid JSON at "),
        ("rapport.toml", "[server]\nport = \n", "rapport.toml:2: TOML syntax error at column "),
        ("rapport.properties", "a=1\nnonsense\n", "rapport.properties:2: properties syntax error"),
    ] {
        let problems = Desk::new(&[(name, text)]).refused();
        assert!(problems[0].starts_with(start), "{problems:?}");
    }
    let problems = Desk::new(&[("rapport.yaml", "server: {port: 1\nlog: x\n")]).refused();
    assert!(problems[0].contains("YAML syntax error at column"), "{problems:?}");
    let problems = Desk::new(&[("rapport.yaml", "server:\n  port: 1\n  port: 2\n")]).refused();
    assert!(problems[0].starts_with("rapport.yaml:3: YAML syntax error"), "{problems:?}");
}

#[test]
fn a_missing_named_file_is_a_problem_and_a_missing_default_file_is_not() {
    let mut desk = Desk::new(&[]);
    desk.inputs.file = Some(PathBuf::from("other.yaml"));
    assert!(desk.refused()[0].starts_with("other.yaml: cannot be read"), "{:?}", desk.refused());
    desk.inputs.file = Some(PathBuf::from("settings.py"));
    assert!(desk.refused()[0].contains("ends with .yaml"), "{:?}", desk.refused());
}

#[test]
fn impossible_ports_are_names_or_errors_and_never_cut() {
    let desk = |port: &str| Desk::new(&[("rapport.yaml", &format!("port: {port}\n"))]);
    let loaded = desk("619009").load();
    assert_eq!(loaded.config.ports.port, 61900);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("29185"), "{:?}", loaded.warnings);

    let strict = desk("619009").flag("server.strict_ports", "--strict-ports", "true");
    let refused = load(&strict.inputs).unwrap_err();
    assert!(refused.has_port());
    assert!(refused.to_string().contains("rapport.yaml:1"), "{refused}");

    for wrong in ["6199009", "99999999999999999999999999", "-1", "0x1F", "1e4"] {
        let refused = load(&desk(wrong).inputs).unwrap_err();
        assert!(refused.has_port(), "{wrong}");
        assert!(refused.to_string().contains(&format!("`{wrong}`")), "{wrong}: {refused}");
    }
    let own = Desk::new(&[("rapport.yaml", "ports:\n  logical:\n    700000: 7000\n")]);
    let own = own.flag("server.port", "--port", "700000");
    assert_eq!(own.load().config.ports.port, 7000);
}

#[test]
fn common_names_are_understood_and_named() {
    for (line, host, port) in [
        ("listener_port: 8080", "localhost", 8080),
        ("mcp_port: 8080", "localhost", 8080),
        ("PORT: 8080", "localhost", 8080),
        ("bind: 127.0.0.1", "127.0.0.1", 61900),
        ("server_address: 127.0.0.1:8080", "127.0.0.1", 8080),
        ("api_endpoint: http://localhost:619009/mcp", "localhost", 61900),
    ] {
        let loaded = Desk::new(&[("rapport.yaml", line)]).load();
        assert_eq!(loaded.config.hosts, [host], "{line}");
        assert_eq!(loaded.config.ports.port, port, "{line}");
        let alias = line.split(':').next().unwrap();
        let shown = show::rows(&loaded);
        let named = format!("(as `{alias}`)");
        assert!(shown.iter().any(|row| row.source.contains(&named)), "{line}");
    }
    let twice = Desk::new(&[("rapport.yaml", "port: 1\nserver: {port: 2}\n")]);
    assert!(twice.refused()[0].contains("set the same thing"), "{:?}", twice.refused());
}

#[test]
fn providers_appear_with_their_keys_and_as_configured() {
    let desk = Desk::new(&[]).env(&[
        ("ANTHROPIC_API_KEY", "sk-secret"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"),
    ]);
    let loaded = desk.load();
    let providers = &loaded.config.gateway.providers;
    assert_eq!(providers.len(), 2);
    assert_eq!(providers[0].name, "anthropic");
    assert_eq!(providers[0].dialect, "anthropic");
    assert_eq!(providers[0].base_url, "https://api.anthropic.com");
    let key = providers[0].key().unwrap();
    assert_eq!(key.key.expose(), "sk-secret");
    assert_eq!(key.source.as_deref(), Some("environment ANTHROPIC_API_KEY"));
    assert!(!providers[0].models.is_empty());
    assert_eq!(providers[0].deadlines.first_byte, Duration::from_mins(2));
    assert_eq!(providers[1].dialect, "openai_chat");

    let file = "providers:\n  ollama:\n    base_url: http://127.0.0.1:11434/v1/\n    \
                models: [llama3.3]\n    headers:\n      X-Team: search\n    \
                window_tokens: 8192\n  openai:\n    base_url: https://api.openai.com/v1\n";
    let config = Desk::new(&[("rapport.yaml", file)])
        .env(&[("RAPPORT_PROVIDERS_OLLAMA_RETRIES", "0")])
        .load()
        .config;
    let [ollama] = config.gateway.providers.as_slice() else { panic!("one provider") };
    assert_eq!(ollama.base_url, "http://127.0.0.1:11434/v1");
    assert_eq!(ollama.headers, [("X-Team".to_owned(), "search".to_owned())]);
    assert_eq!((ollama.window_tokens, ollama.retries), (Some(8192), 0));

    let wrong =
        "providers:\n  mine:\n    models: [a]\n  other:\n    base_url: http://127.0.0.1:619009\n";
    let problems = Desk::new(&[("rapport.yaml", wrong)]).refused();
    assert!(problems.iter().any(|p| p.contains("provider `mine` has no address")), "{problems:?}");
    assert!(!problems.iter().any(|p| p.contains("provider `other`")), "said twice: {problems:?}");
    assert!(problems.iter().any(|p| p.contains("61900")), "{problems:?}");
}

#[test]
fn keys_of_a_provider_may_be_a_list_or_a_group_with_names() {
    let list = "providers:\n  openai:\n    keys:\n      - {key: sk-1, priority: 2}\n      \
                - {key: sk-2, weight: 3, name: main, expires: 2027-01-31}\n";
    let config = Desk::new(&[("rapport.yaml", list)]).load().config;
    let [first, second] = config.gateway.providers[0].keys.as_slice() else { panic!("two keys") };
    assert_eq!((first.name.as_str(), first.priority, first.weight), ("1", 2, 1));
    assert_eq!((second.name.as_str(), second.priority, second.weight), ("main", 1, 3));
    assert_eq!(second.expires.unwrap().to_string(), "2027-01-31T00:00:00Z");
    assert_eq!(config.gateway.providers[0].key().unwrap().key.expose(), "sk-2");

    let group = "providers: {openai: {keys: {team: {key: \"${K}\"}, spare: {key: b, weight: 0}}}}";
    let desk = Desk::new(&[("rapport.yaml", group)]).env(&[("K", "sk-9")]);
    let loaded = desk.load();
    let keys = &loaded.config.gateway.providers[0].keys;
    assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["spare", "team"]);
    assert_eq!(keys[1].source.as_deref(), Some("environment K"));
    let rows = show::rows(&loaded);
    let row = rows.iter().find(|row| row.key == "providers.openai.keys.team.key").unwrap();
    assert_eq!(row.value, "[hidden]");

    let wrong = "providers: {openai: {keys: [{key: a, expires: soon}, {name: b}]}}";
    let problems = Desk::new(&[("rapport.yaml", wrong)]).refused();
    assert!(problems[0].contains("cannot be `soon`"), "{problems:?}");
}

#[test]
fn a_file_adds_providers_and_prices() {
    let file =
        "providers_file: mine.toml\nprices_file: prices.toml\nproviders: {else: {api_key: k}}\n";
    let mine = "[[provider]]\nname = \"mine\"\nbase_url = \"https://models.example.org/v1\"\n\
                key = [\"MINE_KEY\"]\nmodels = [\"m\"]\n\
                [[provider]]\nname = \"else\"\nbase_url = \"https://else.example.org\"\n";
    let prices = "[[model]]\nid = \"m\"\nprovider = \"mine\"\nwindow = 4096\n";
    let desk = Desk::new(&[
        ("rapport.yaml", file),
        ("mine.toml", mine),
        ("prices.toml", prices),
        (".env", "MINE_KEY=sk-m"),
    ]);
    let config = desk.load().config.gateway;
    let names: Vec<&str> = config.providers.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["mine", "else"]);
    assert_eq!(config.providers[0].key().unwrap().key.expose(), "sk-m");
    assert_eq!(config.prices.window_tokens("mine", "m"), Some(4096));

    let desk = Desk::new(&[("rapport.yaml", file), ("mine.toml", "[[provider]]\nname = 1\n")]);
    let problems = desk.refused();
    assert!(problems.iter().any(|p| p.contains("prices.toml cannot be read")), "{problems:?}");
    assert!(problems.iter().any(|p| p.contains("wrong in line 2")), "{problems:?}");
}

#[test]
fn an_unknown_provider_is_answered_with_the_nearest_known_one() {
    let desk = Desk::new(&[("rapport.yaml", "providers: {antropic: {api_key: k}}\n")]);
    assert!(desk.refused()[0].contains("the known provider `anthropic`"), "{:?}", desk.refused());
    let desk = Desk::new(&[("rapport.yaml", "providers: {openai: {api_key: k, auth: magic}}\n")]);
    assert!(desk.refused()[0].contains("`header:NAME`"), "{:?}", desk.refused());
}

#[test]
fn keys_in_clear_and_upstreams_that_are_never_called_are_warned_about() {
    let warnings = |url: &str, more: &str| {
        let file = format!("{more}providers: {{mine: {{base_url: \"{url}\", api_key: k}}}}\n");
        let desk = Desk::new(&[("rapport.yaml", &file)]);
        let warnings = desk.load().warnings;
        warnings.into_iter().filter(|warning| warning.contains("`mine`")).collect::<Vec<_>>()
    };
    assert!(warnings("http://models.example.org/v1", "")[0].contains("plain HTTP"));
    assert!(warnings("https://models.example.org", "local_only: true\n")[0].contains("never"));
    assert!(warnings("http://localhost:11434/v1", "local_only: true\n").is_empty());
    assert!(warnings("http://[::1]:11434/v1", "").is_empty());
    assert!(warnings("https://models.example.org", "").is_empty());
}

#[cfg(unix)]
#[test]
fn secrets_come_from_variables_and_files_and_are_never_shown() {
    use std::os::unix::fs::PermissionsExt;
    let file =
        "providers:\n  anthropic:\n    api_key: file:key.txt\n  openai:\n    api_key: ${MY_KEY}\n";
    let desk = Desk::new(&[
        ("rapport.yaml", file),
        ("key.txt", "sk-secret-1\n"),
        (".env", "MY_KEY=sk-secret-2"),
    ]);
    let key = desk.dir.path().join("key.txt");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let loaded = desk.load();
    let keys: Vec<&str> = loaded
        .config
        .gateway
        .providers
        .iter()
        .map(|provider| provider.key().unwrap().key.expose())
        .collect();
    assert_eq!(keys, ["sk-secret-1", "sk-secret-2"]);
    assert!(loaded.warnings.iter().any(|w| w.contains("key.txt") && w.contains("chmod 600")));
    let shown = format!("{:?} {:?} {:?}", show::rows(&loaded), loaded.config, desk.inputs.env);
    assert!(!shown.contains("sk-secret"), "{shown}");

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!desk.load().warnings.iter().any(|w| w.contains("key.txt")));
    std::fs::write(&key, "two\nlines").unwrap();
    assert!(desk.refused()[0].contains("one line"), "{:?}", desk.refused());
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let file = "providers:\n  anthropic:\n    api_key: ${NO_SUCH_KEY}\n";
    let problems = Desk::new(&[("rapport.yaml", file)]).refused();
    assert!(problems[0].starts_with("rapport.yaml:3:"), "{problems:?}");
    assert!(problems[0].contains("NO_SUCH_KEY"), "{problems:?}");
    let optional = "providers:\n  anthropic:\n    api_key: ${NO_SUCH_KEY:-}\n";
    assert!(Desk::new(&[("rapport.yaml", optional)]).load().config.gateway.providers.is_empty());
}

#[test]
fn a_profile_lies_over_the_rest_of_its_file() {
    let file = "server: {port: 1000}\nlog: {level: warn}\nprofiles:\n  test:\n    \
                server: {port: 2000}\n  empty:\n";
    let mut desk = Desk::new(&[("rapport.yaml", file)]);
    assert_eq!(desk.load().config.ports.port, 1000);
    desk.inputs.profile = Some("test".to_owned());
    let config = desk.load().config;
    assert_eq!((config.ports.port, config.log.level.as_str()), (2000, "warn"));
    desk.inputs.profile = Some("empty".to_owned());
    assert_eq!(desk.load().config.ports.port, 1000);
    desk.inputs.profile = Some("tset".to_owned());
    assert!(desk.refused()[0].contains("`empty`, `test`"), "{:?}", desk.refused());
    let wrong = Desk::new(&[("rapport.yaml", "profiles: {a: {sever: {port: 1}}}")]);
    assert!(wrong.refused()[0].contains("did you mean `server.port`"), "{:?}", wrong.refused());
}

#[test]
fn what_others_put_into_the_environment_does_no_harm() {
    let desk = Desk::new(&[]).env(&[
        ("RAPPORT_PORT", "tcp://10.0.0.1:61900"),
        ("RAPPORT_PORT_61900_TCP", "tcp://10.0.0.1:61900"),
        ("RAPPORT_SERVICE_HOST", "10.0.0.1"),
        ("RAPPORT_SEVER_PORT", "1"),
        ("PATH", "/bin"),
        ("PORT", ""),
    ]);
    let loaded = desk.load();
    assert_eq!(loaded.config.ports.port, 61900);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("RAPPORT_SERVER_PORT"), "{:?}", loaded.warnings);
}

#[test]
fn debug_mode_speaks_up_unless_a_level_is_set() {
    let desk = Desk::new(&[]).env(&[("DEBUG_MODE", "true")]);
    let config = desk.load().config;
    assert!(config.gateway.debug);
    assert_eq!(config.log.level, "debug");
    let desk = desk.env(&[("DEBUG_MODE", "true"), ("RAPPORT_LOG", "warn")]);
    assert_eq!(desk.load().config.log.level, "warn");
}

#[test]
fn a_reload_tells_live_changes_from_those_that_wait_and_hides_secrets() {
    let write = |desk: &Desk, text: &str| {
        std::fs::write(desk.dir.path().join("rapport.yaml"), text).unwrap();
    };
    let desk = Desk::new(&[("rapport.yaml", "log: {level: info}\n")]);
    let old = desk.load();
    write(&desk, "log: {level: debug}\nserver: {port: 1}\nproviders: {openai: {api_key: sk-1}}\n");
    let found = reload::differences(&old, &desk.load());
    let keys: Vec<(&str, bool)> = found.iter().map(|d| (d.key.as_str(), d.restart)).collect();
    assert_eq!(
        keys,
        [("server.port", true), ("log.level", false), ("providers.openai.api_key", false)]
    );
    assert!(!format!("{found:?}").contains("sk-1"));
}

#[test]
fn the_data_folder_has_a_dotenv_of_its_own() {
    let desk = Desk::new(&[("rapport.yaml", "data: {dir: store}\nport: 1\n")]);
    let data = desk.dir.path().join("store");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join(".env"), "PORT=2\n").unwrap();
    let loaded = desk.load();
    assert_eq!(loaded.config.data, data);
    assert_eq!(loaded.config.ports.port, 2);
}

#[test]
fn the_starter_is_a_valid_configuration_that_changes_nothing() {
    let starter = super::generate::starter();
    let desk = Desk::new(&[("rapport.yaml", &starter)]);
    let plain = Desk::new(&[]);
    assert_eq!(reload::differences(&plain.load(), &desk.load()), []);

    // With its defaults taken out of the comments it still changes nothing.
    let is_setting = |text: &str| {
        let name = text.split_once(": ").map_or("", |(name, _)| name);
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let mut open = String::new();
    for line in starter.lines() {
        let (indent, text) = line.split_once("# ").unwrap_or(("", ""));
        match is_setting(text) {
            true => open.push_str(&format!("{indent}{text}\n")),
            false => open.push_str(&format!("{line}\n")),
        }
    }
    assert!(open.contains("\n  port: 61900\n"), "{open}");
    let desk = Desk::new(&[("rapport.yaml", &open)]);
    assert_eq!(reload::differences(&plain.load(), &desk.load()), []);
}

#[test]
fn every_key_of_the_table_is_in_the_schema_and_the_page() {
    let schema = super::generate::schema();
    let page = super::generate::docs();
    let starter = super::generate::starter();
    for key in super::keys::all() {
        let mut at = &schema;
        for segment in key.path.split('.') {
            at = match segment {
                "NAME" => &at["additionalProperties"],
                segment => &at["properties"][segment],
            };
        }
        assert!(at["description"].is_string(), "{} is not in the schema", key.path);
        assert!(page.contains(&format!("| `{}` |", key.path)), "{}", key.path);
        let name = key.path.trim_end_matches(".NAME").rsplit('.').next().unwrap();
        assert!(starter.contains(&format!("{name}:")), "{}", key.path);
    }
}

#[test]
fn the_committed_reference_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == super::generate::docs(),
        "docs/config.md is old: run `rapport config docs > docs/config.md`"
    );
}
