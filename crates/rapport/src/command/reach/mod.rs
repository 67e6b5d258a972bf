//! How the commands that talk to a server reach it: their flags, the connection, and their end.

mod current;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;

use super::{Frame, block_on};
use crate::config::{Config, Environment, Loaded, load};
use crate::print::{Exit, Printer};
use crate::remote::{
    Class, Failure, Found, Journal, Manner, Said, Server, Sink, Trace, Trust, client_file, find,
};
use current::Current;

/// Flags of every command that talks to a server.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Reach {
    /// Server to talk to; without it the one that runs is found
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Key to show (better: `RAPPORT_API_KEY`, which no list of processes shows)
    #[arg(long, global = true, value_name = "KEY")]
    key: Option<Hidden>,
    /// Trust the certificates in this PEM file
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Longest time for a whole request
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Longest wait for a connection
    #[arg(long, global = true, value_name = "SECONDS")]
    #[arg(value_parser = seconds, default_value = CONNECT)]
    connect_timeout: Duration,
    /// Longest silence while an answer comes
    #[arg(long, global = true, value_name = "SECONDS")]
    #[arg(value_parser = seconds, default_value = READ)]
    read_timeout: Duration,
    /// How often to try again after a failed connection
    #[arg(long, global = true, value_name = "N", default_value_t = 2)]
    retries: u32,
    /// Show requests and answers as they are on the wire, without keys
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Print the equivalent curl command instead of sending anything
    #[arg(long, global = true)]
    curl: bool,
}

/// A secret of the command line, which no debug output shows.
#[derive(Clone)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl std::str::FromStr for Hidden {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// Seconds of the longest wait for a connection, unless the user says otherwise.
const CONNECT: &str = "5";
/// Seconds of the longest silence: streams of ours are never silent for half a minute.
const READ: &str = "300";

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no number of seconds: write one like 5 or 0.5");
    let number: f64 = text.trim_end_matches('s').parse().map_err(|_none| wrong())?;
    let found = Duration::try_from_secs_f64(number).map_err(|_none| wrong())?;
    if found.is_zero() { Err(wrong()) } else { Ok(found) }
}

/// What a command has to work with.
#[derive(Debug)]
pub(crate) struct Client<'f> {
    /// Where output goes.
    pub(crate) printer: &'f mut Printer,
    /// The server, which nothing has been sent to yet.
    pub(crate) server: Server,
    /// How the server was found.
    pub(crate) found: Found,
    /// The configuration, where it can be used.
    pub(crate) config: Option<Config>,
    /// The context that is remembered for the working directory.
    current: Current,
    /// `RAPPORT_CONTEXT`.
    named: Option<String>,
}

impl Reach {
    /// How a server is found when no flag says so; `ca` are certificates to trust.
    pub(super) fn plain(ca: Option<PathBuf>) -> Self {
        let time = |text| seconds(text).unwrap_or(Duration::from_secs(5));
        Self {
            url: None,
            key: None,
            ca,
            timeout: Some(time(CONNECT)),
            connect_timeout: time(CONNECT),
            read_timeout: time(CONNECT),
            retries: 0,
            verbose: false,
            curl: false,
        }
    }

    /// Runs a command on the server that is meant, and says how it ended.
    ///
    /// # Errors
    /// When there is no runtime to work in.
    pub(super) fn run(
        &self,
        frame: &mut Frame,
        work: impl AsyncFnOnce(&mut Client<'_>) -> Result<(), Failure>,
    ) -> anyhow::Result<Exit> {
        let done = match self.client(frame) {
            Ok(mut client) => block_on(work(&mut client))?,
            Err(failure) => Err(failure),
        };
        Ok(end(&mut frame.printer, done))
    }

    /// The server that is meant; nothing is sent to it yet.
    ///
    /// # Errors
    /// [`Class::Usage`] or [`Class::InvalidPort`] for an address that is none.
    pub(super) fn server(&self, frame: &mut Frame) -> Result<Server, Failure> {
        Ok(self.client(frame)?.server)
    }

    /// As [`Reach::server`], with how it was found.
    ///
    /// # Errors
    /// As [`Reach::server`].
    pub(super) fn found(&self, frame: &mut Frame) -> Result<(Server, Found), Failure> {
        let client = self.client(frame)?;
        Ok((client.server, client.found))
    }

    /// The address that was named, for a command to which it means something else, and how the
    /// server is found without it.
    pub(super) fn without_url(&self) -> (Option<String>, Self) {
        (self.url.clone(), Self { url: None, ..self.clone() })
    }

    /// The user named an address: whatever runs there is not ours to start.
    pub(super) fn is_elsewhere(&self, frame: &Frame) -> bool {
        let globals = &frame.globals;
        let named = self.url.is_some() || globals.host.is_some() || globals.port.is_some();
        named || frame.env.get("RAPPORT_URL").is_some()
    }

    fn client<'f>(&self, frame: &'f mut Frame) -> Result<Client<'f>, Failure> {
        let said = Said {
            url: self.url.clone(),
            host: frame.globals.host.clone(),
            port: frame.globals.port.clone(),
            strict: frame.globals.strict_ports,
            data: frame.globals.data.is_some(),
        };
        let loaded = configured(frame, &said)?;
        let config = loaded.as_ref().map(|loaded| &loaded.config);
        let found = find(&said, &frame.env, config)?;
        let printer = &mut frame.printer;
        if let Some(loaded) = loaded.as_ref().filter(|_| !found.named) {
            loaded.warnings.iter().for_each(|warning| printer.warn(warning));
        }
        if let Some(warning) = &found.warning {
            printer.warn(warning);
        }
        let state = state_folder(&frame.env);
        let manner = self.manner(&frame.env, &found, config, printer.is_json());
        let profile = loaded.as_ref().and_then(|loaded| loaded.profile.as_deref());
        Ok(Client {
            server: Server::new(found.address.clone(), manner),
            current: Current::of(&state, profile),
            named: frame.env.get("RAPPORT_CONTEXT").map(ToOwned::to_owned),
            config: loaded.map(|loaded| loaded.config),
            printer,
            found,
        })
    }

    fn manner(
        &self,
        env: &Environment,
        found: &Found,
        config: Option<&Config>,
        json: bool,
    ) -> Manner {
        let said = self.key.as_ref().map(|Hidden(key)| key.as_str());
        let named = said.or_else(|| env.get("RAPPORT_API_KEY")).map(str::to_owned);
        let key = named.or_else(|| key_of_file(env)).or_else(|| key_of_client(env, found));
        let own = config.map(|config| config.data.join("tls").join("certificate.pem"));
        // The pair that the local server made for itself is in nobody's list of trusted ones.
        let own = own.filter(|path| found.address.is_loopback() && path.is_file());
        Manner {
            key: key.map(|key| key.trim().to_owned()),
            trust: self.ca.clone().or(own).map_or(Trust::Machine, Trust::File),
            connect: self.connect_timeout,
            read: self.read_timeout,
            total: self.timeout,
            retries: self.retries,
            trace: if self.verbose { Trace::to(aside(json)) } else { Trace::default() },
            curl: self.curl.then(|| result(json)),
            journal: Journal::at(state_folder(env).join("client.log")),
        }
    }
}

/// The key in the settings of a client, for the server that they name and no other.
fn key_of_client(env: &Environment, found: &Found) -> Option<String> {
    if !found.by_client {
        return None;
    }
    let settings = client_file::settings(env).0;
    settings.into_iter().find(|setting| setting.name == "api_key").map(|setting| setting.value)
}

/// The configuration; one that is broken matters only when it has to name the server.
fn configured(frame: &Frame, said: &Said) -> Result<Option<Loaded>, Failure> {
    let mut inputs = frame.inputs();
    // Here they say where a server is, not where to listen.
    inputs.flags.retain(|flag| !flag.key.starts_with("server."));
    match load(&inputs) {
        Ok(loaded) => Ok(Some(loaded)),
        Err(_) if said.url.is_some() || said.host.is_some() || said.port.is_some() => Ok(None),
        Err(_) if frame.env.get("RAPPORT_URL").is_some() => Ok(None),
        Err(refused) => match refused.for_commands() {
            Ok(loaded) => Ok(Some(loaded)),
            Err(refused) => {
                let class = if refused.has_port() { Class::InvalidPort } else { Class::Usage };
                Err(Failure::new(class, refused.to_string())
                    .hint("correct it, or name the server with `--url` or RAPPORT_URL"))
            }
        },
    }
}

/// The key in the file that `RAPPORT_API_KEY_FILE` names.
fn key_of_file(env: &Environment) -> Option<String> {
    let path = env.get("RAPPORT_API_KEY_FILE")?;
    match std::fs::read_to_string(path) {
        Ok(key) => Some(key),
        Err(cause) => {
            tracing::warn!("RAPPORT_API_KEY_FILE: cannot read `{path}`: {cause}");
            None
        }
    }
}

/// Where commands keep what they remember.
fn state_folder(env: &Environment) -> PathBuf {
    let set = env.get("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let unix = cfg!(all(unix, not(target_os = "macos")));
    let home = env.home().filter(|_| unix).map(|home| home.join(".local/state"));
    match set.or(home) {
        Some(folder) => folder.join("rapport"),
        None => env.data_folder().join("state"),
    }
}

/// Lines beside the results.
fn aside(json: bool) -> Sink {
    let printer = Mutex::new(Printer::new(json));
    Arc::new(move |line| printer.lock().unwrap_or_else(PoisonError::into_inner).note(line))
}

/// Lines that are the result.
fn result(json: bool) -> Sink {
    let printer = Mutex::new(Printer::new(json));
    Arc::new(move |line| printer.lock().unwrap_or_else(PoisonError::into_inner).line(line))
}

/// Says how a command ended.
fn end(printer: &mut Printer, done: Result<(), Failure>) -> Exit {
    let Err(failure) = done else { return Exit::Fine };
    if failure.class() == Class::Shown {
        return Exit::Fine;
    }
    complain(printer, &failure);
    exit(failure.class())
}

/// Says what failed, and what to do about it.
pub(super) fn complain(printer: &mut Printer, failure: &Failure) {
    if printer.is_json() {
        printer.note(&failure.to_json().to_string());
        return;
    }
    printer.error(&failure.to_string());
    if let Some(hint) = failure.hint_text() {
        printer.hint(hint);
    }
    if let (Class::Server, Some(id)) = (failure.class(), failure.request_id()) {
        printer.note(&format!("The server's log names this request {id}."));
    }
}

/// The exit code of a class.
pub(super) fn exit(class: Class) -> Exit {
    match class {
        Class::Shown => Exit::Fine,
        Class::Problem => Exit::Problem,
        Class::Usage => Exit::Usage,
        Class::InvalidPort => Exit::InvalidPort,
        Class::Refused | Class::Unresolved | Class::Unreachable => Exit::Refused,
        Class::Timeout => Exit::Timeout,
        Class::Tls | Class::Protocol => Exit::Protocol,
        Class::Auth => Exit::Key,
        Class::Server => Exit::Server,
        Class::Unchecked => Exit::Unchecked,
    }
}

impl Client<'_> {
    /// The context that is meant: the one named, else the current one. `-` is the current one.
    ///
    /// # Errors
    /// [`Class::Usage`] when none is named and none is remembered.
    pub(super) fn context(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(id) = named.filter(|id| *id != "-") {
            return Ok(id.to_owned());
        }
        self.named.clone().or_else(|| self.current.read()).ok_or_else(|| {
            let text = "no context is named, and none is remembered for this directory";
            Failure::new(Class::Usage, text)
                .hint("name its id, or make one: `rapport context new`, `rapport context use ID`")
        })
    }

    /// `RAPPORT_CONTEXT`, for commands that would begin a new one without it.
    pub(super) fn context_of_environment(&self) -> Option<String> {
        self.named.clone()
    }

    /// Remembers the current context of the working directory.
    pub(super) fn remember(&mut self, id: &str) {
        if let Err(error) = self.current.write(id) {
            self.printer.warn(&format!("the current context cannot be remembered: {error:#}"));
        }
    }

    /// Forgets a context that is gone.
    pub(super) fn forget(&mut self, id: &str) {
        if self.current.read().as_deref() == Some(id)
            && let Err(error) = self.current.clear()
        {
            self.printer.warn(&format!("the current context cannot be forgotten: {error:#}"));
        }
    }

    /// The user wants JSON.
    pub(super) fn is_json(&self) -> bool {
        self.printer.is_json()
    }

    /// Prints the API's JSON as it came.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.printer.line(String::from_utf8_lossy(bytes).trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction_and_nothing_else() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("5s"), Ok(Duration::from_secs(5)));
        for text in ["0", "-1", "five", "", "inf", "1e300"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_exit_code_of_a_class_is_the_same_here_and_in_json() {
        for class in [
            Class::Shown,
            Class::Problem,
            Class::Usage,
            Class::InvalidPort,
            Class::Refused,
            Class::Unresolved,
            Class::Unreachable,
            Class::Timeout,
            Class::Tls,
            Class::Protocol,
            Class::Auth,
            Class::Server,
            Class::Unchecked,
        ] {
            assert_eq!(exit(class) as u8, class.exit_code(), "{class:?}");
        }
    }
}
