//! Everything that is configured here and that `rapport doctor` looks at without an address.

use std::path::PathBuf;

use doctor::files::File;
use doctor::{Report, Request, own};
use gateway::joined::{Reach, ServerSettings};

use super::search;
use crate::command::{Frame, connect};
use crate::config::{Config, Loaded, Store, load};
use crate::runtime;

/// Limit: things that are looked at in one run.
const SUBJECTS_MAX: usize = 40;

/// Variables by which programs are told where a model or a server is.
const ADDRESSES: &[&str] = &[
    "ANTHROPIC_BASE_URL",
    "AZURE_OPENAI_ENDPOINT",
    "GOOGLE_GEMINI_BASE_URL",
    "LITELLM_PROXY_URL",
    "MCP_SERVER_URL",
    "OLLAMA_HOST",
    "OPENAI_API_BASE",
    "OPENAI_BASE_URL",
    "RAPPORT_URL",
];

/// One thing to look at.
#[derive(Debug)]
pub(super) struct Subject {
    /// What it is called in the table.
    pub(super) name: String,
    /// Where it is.
    pub(super) place: String,
    pub(super) work: Work,
}

impl Subject {
    fn asks(&self, target: &str) -> bool {
        matches!(&self.work, Work::Address(request) if request.target.as_deref() == Some(target))
    }
}

/// How it is looked at.
#[derive(Debug)]
pub(super) enum Work {
    /// It has been judged already.
    Done(Box<Report>),
    Address(Box<Request>),
    /// The port of our own server, which does not run: another program may have it.
    Home(u16, Box<Request>),
    File(File),
}

/// A file that was named.
pub(super) fn of_file(file: &File) -> Subject {
    let place = file.path.display().to_string();
    Subject { name: "file".to_owned(), place, work: Work::File(file.clone()) }
}

/// What there is, the server first.
pub(super) fn all(frame: &Frame, request: &Request) -> Vec<Subject> {
    let mut found = Vec::new();
    match load(&frame.inputs()) {
        Ok(loaded) => of_configuration(frame, request, &loaded, &mut found),
        Err(refused) => {
            let problems: Vec<String> = refused.problems.iter().map(ToString::to_string).collect();
            found.push(configuration(refused.rest.file.as_ref(), &problems));
            // What the rest of it says is worth a look all the same.
            of_configuration(frame, request, &refused.rest, &mut found);
        }
    }
    for (name, value) in ADDRESSES.iter().filter_map(|name| Some((*name, frame.env.get(name)?))) {
        let target = asked(value.trim());
        // A provider that exists because of this variable is not looked at twice.
        found.retain(|known| !(known.name.starts_with("provider ") && known.asks(&target)));
        found.push(address(request, name.to_owned(), value, &target));
    }
    for (name, report) in doctor::credential::variables(&request.environment) {
        let place = "a credential, not shown".to_owned();
        found.push(Subject { name, place, work: Work::Done(Box::new(report)) });
    }
    for (id, path) in connect::client_files(&frame.env) {
        let place = path.display().to_string();
        let work = Work::File(File { path, run: false, search: search::folders(frame) });
        found.push(Subject { name: id.to_owned(), place, work });
    }
    found.truncate(SUBJECTS_MAX);
    found
}

fn configuration(file: Option<&PathBuf>, problems: &[String]) -> Subject {
    let place = file.map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
    let report = Box::new(own::configuration(&place, problems));
    Subject { name: "configuration".to_owned(), place, work: Work::Done(report) }
}

fn of_configuration(frame: &Frame, request: &Request, loaded: &Loaded, found: &mut Vec<Subject>) {
    let config = &loaded.config;
    if found.is_empty() && loaded.file.is_some() {
        found.push(configuration(loaded.file.as_ref(), &[]));
    }
    found.push(server(frame, request, config));
    if config.store == Store::Sqlite {
        let place = config.data.display().to_string();
        let work = Work::Done(Box::new(own::folder(&config.data)));
        found.push(Subject { name: "store".to_owned(), place, work });
    }
    for provider in &config.gateway.providers {
        let name = format!("provider {}", provider.name);
        found.push(address(request, name, &provider.base_url, &asked(&provider.base_url)));
    }
    found.extend(config.gateway.mcp.servers.iter().map(|joined| member(frame, request, joined)));
}

/// Our own server: where it runs, else where it is to run.
fn server(frame: &Frame, request: &Request, config: &Config) -> Subject {
    let running = runtime::of_folder(&config.data);
    let port = config.ports.port;
    let is_home = running.is_none() && frame.globals.host.is_none() && port != 0;
    let (port, target) = match (running, &frame.globals.host) {
        (Some(running), _) => (running.port, Some(running.url)),
        (None, Some(host)) => (port, Some(format!("{host}:{port}"))),
        (None, None) => (port, None),
    };
    let place = target.clone().unwrap_or_else(|| format!("localhost:{port}"));
    let mut request = Box::new(Request { target, default_port: port, ..request.clone() });
    request.logs = super::logs::of(frame, &request);
    let work = if is_home { Work::Home(port, request) } else { Work::Address(request) };
    Subject { name: "server".to_owned(), place, work }
}

fn address(request: &Request, name: String, place: &str, target: &str) -> Subject {
    let request = Request { target: Some(target.to_owned()), ..request.clone() };
    // A password in an address is for its server only.
    let place = doctor::target::Target::parse(place)
        .map_or_else(|_| "an address that cannot be read".to_owned(), |read| read.to_string());
    Subject { name, place, work: Work::Address(Box::new(request)) }
}

/// What is asked of the server of an address that programs add a path to: its list of models on
/// this machine; elsewhere only whether anybody answers.
fn asked(base: &str) -> String {
    let base = base.trim_end_matches('/');
    let Some((scheme, rest)) = base.split_once("://") else { return base.to_owned() };
    let (place, path) = rest.split_once('/').map_or((rest, ""), |(place, path)| (place, path));
    let host = place.rsplit('@').next().unwrap_or(place);
    let is_here = ["localhost", "127.", "[::1]", "0.0.0.0"].iter().any(|own| host.starts_with(own));
    if is_here && path.ends_with("v1") {
        return format!("{base}/models");
    }
    format!("{scheme}://{place}")
}

fn member(frame: &Frame, request: &Request, joined: &ServerSettings) -> Subject {
    let name = format!("joined {}", joined.name);
    match &joined.reach {
        Reach::Program(program) => {
            let report = own::program(&joined.name, &program.command, &search::folders(frame));
            let (place, work) = (program.command.clone(), Work::Done(Box::new(report)));
            Subject { name, place, work }
        }
        Reach::Address { url, .. } => {
            let subject = address(request, name, url, url);
            let Work::Address(request) = subject.work else { return subject };
            let work = Work::Address(Box::new(Request { mcp: true, ..*request }));
            Subject { work, ..subject }
        }
        Reach::Api { url, base_url, .. } => {
            let place = base_url.as_ref().or(url.as_ref()).map_or("", String::as_str);
            address(request, name, place, &asked(place))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn what_is_asked_of_a_base_address_costs_nothing() {
        assert_eq!(asked("http://localhost:1/v1/"), "http://localhost:1/v1/models");
        assert_eq!(asked("https://api.example.com/v1"), "https://api.example.com");
        assert_eq!(asked("http://127.0.0.1:11434"), "http://127.0.0.1:11434");
        assert_eq!(asked("127.0.0.1:11434"), "127.0.0.1:11434");
    }
}
