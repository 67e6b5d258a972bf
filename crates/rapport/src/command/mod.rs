//! The command line: one file and one line here for each command.

mod api;
mod audit;
mod background;
mod backup;
mod bench;
mod beside;
mod chat;
mod completions;
mod config;
mod connect;
mod context;
mod debug;
mod doctor;
mod doctor_store;
mod examine;
mod given;
mod inspect;
mod interact;
mod key;
mod mcp;
mod message;
mod mock;
mod model;
mod ping;
mod ports;
mod provider;
mod raw;
mod reach;
mod request;
mod restore;
mod serve;
mod speech;
mod status;
mod summarize;
mod table;
mod webhook;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{Environment, Flag, Inputs, Loaded, Refused, load};
use crate::print::{Exit, Printer};

/// One home port for AI applications.
#[derive(Debug, Parser)]
#[command(name = "rapport", version, about, max_term_width = 100)]
#[command(
    after_help = "Without a command it serves. Exit codes: 0 fine, 1 problem found, 2 usage, \
                        3 invalid port, 4 refused, 5 timeout, 6 protocol, 7 key, 8 server error, \
                        9 could not check."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags that every command understands.
#[derive(Clone, Debug, Args)]
pub(crate) struct Globals {
    /// Configuration file (yaml, json, toml or properties)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data folder
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// Address to listen on or to talk to
    #[arg(long, global = true, value_name = "ADDRESS")]
    host: Option<String>,
    /// TCP port; 0 takes a free one, 619009 is a name for 61900
    #[arg(long, global = true, value_name = "PORT", allow_hyphen_values = true)]
    pub(crate) port: Option<String>,
    /// Refuse numbers above 65535 instead of taking known ones as names
    #[arg(long, global = true)]
    strict_ports: bool,
    /// Profile of the configuration file
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// trace, debug, info, warn, error, or `info,gateway=debug`
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve in the foreground (the default)
    Serve(serve::Options),
    /// Serve in the background
    Start(background::Start),
    /// Stop the server of the data folder
    Stop(background::Stop),
    /// Stop the server of the data folder and start it again in the background
    Restart(background::Start),
    /// Talk with a model
    Chat(chat::Options),
    /// Work with conversations
    Context(context::Options),
    /// Send a message to a conversation
    Message(message::Options),
    /// Say something in a session
    Interact(interact::Options),
    /// Shorten a text
    Summarize(summarize::Options),
    /// Show what a running server is and holds
    Status(status::Options),
    /// Let an address be told when contexts change
    Webhook(webhook::Options),
    /// Show who changed what, and check that the record of it holds
    Audit(audit::Options),
    /// Make, list and revoke keys
    Key(key::Options),
    /// Show models, what they cost, and whether one answers
    Model(model::Options),
    /// Show providers, configured or known by name
    Provider(provider::Options),
    /// Show model calls, and why each went the way it did
    Request(request::Options),
    /// Look into a server that runs, and hold its calls at named points (development)
    Debug(debug::Options),
    /// Write, check, show and explain the configuration
    Config(config::Options),
    /// Say in one sentence why an address does not work
    Doctor(doctor::Options),
    /// Put this server into an application: Claude Desktop, Claude Code, Cursor, VS Code …
    Connect(connect::Connect),
    /// Take this server out of an application
    Disconnect(connect::Disconnect),
    /// Measure how long a connection takes, and see what answers
    Ping(ping::Options),
    /// Say something over a bare connection and see every byte that comes back
    Raw(raw::Options),
    /// Ask many questions at once and measure the answers
    Bench(bench::Options),
    /// Show what goes over the wire between a program and its server
    Inspect(Box<inspect::Options>),
    /// Connect a program that speaks MCP over a pipe (Claude Desktop, Cursor …)
    Mcp(mcp::Options),
    /// Run a scriptable model server for tests
    Mock(mock::Options),
    /// Copy the store into one file, also while the server runs
    Backup(backup::Options),
    /// Put a backup in the place of the store
    Restore(restore::Options),
    /// Find free ports and explain port numbers
    Ports(ports::Options),
    /// Print every call of the HTTP API, for the tools that send requests
    Api(api::Options),
    /// Print completions for a shell
    Completions(completions::Options),
}

/// What a command has to work with.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Flags for every command.
    pub(crate) globals: Globals,
    /// The environment.
    pub(crate) env: Environment,
    /// Where output goes.
    pub(crate) printer: Printer,
}

impl Frame {
    /// The same surroundings for a part that prints nothing of its own.
    pub(crate) fn quiet(&self) -> Self {
        let printer = Printer::new(self.globals.json);
        Self { globals: self.globals.clone(), env: self.env.clone(), printer }
    }

    /// Where settings come from.
    pub(crate) fn inputs(&self) -> Inputs {
        let globals = &self.globals;
        let mut flags = Vec::new();
        let mut flag = |key, name, value: &Option<String>| {
            flags.extend(value.clone().map(|value| Flag { key, name, value }));
        };
        flag("data.dir", "--data", &globals.data);
        flag("server.host", "--host", &globals.host);
        flag("server.port", "--port", &globals.port);
        flag("log.level", "--log-level", &globals.log_level);
        let strict = globals.strict_ports.then(|| "true".to_owned());
        flag("server.strict_ports", "--strict-ports", &strict);
        Inputs {
            env: self.env.clone(),
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            flags,
            file: globals.config.clone(),
            profile: globals.profile.clone(),
        }
    }

    /// The configuration; its warnings are said, and its problems when there are any.
    ///
    /// # Errors
    /// The exit code of a configuration that cannot be used.
    pub(crate) fn load(&mut self, inputs: &Inputs) -> Result<Loaded, Exit> {
        match load(inputs) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    self.printer.warn(warning);
                }
                Ok(loaded)
            }
            Err(refused) => Err(self.refuse(&refused)),
        }
    }

    /// Says what is wrong with a configuration.
    pub(crate) fn refuse(&mut self, refused: &Refused) -> Exit {
        for warning in &refused.warnings {
            self.printer.warn(warning);
        }
        for problem in &refused.problems {
            self.printer.error(&problem.to_string());
        }
        if refused.has_port() { Exit::InvalidPort } else { Exit::Usage }
    }
}

/// Runs the command line of this process.
pub(crate) fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is the reader's decision.
            let _closed = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Fine };
        }
    };
    let printer = Printer::new(cli.globals.json);
    let mut frame = Frame { globals: cli.globals, env: Environment::of_this_process(), printer };
    let serves = matches!(cli.command, None | Some(Command::Serve(_)));
    let done = match cli.command.unwrap_or_else(|| Command::Serve(serve::Options::default())) {
        Command::Serve(options) => serve::run(&mut frame, &options),
        Command::Start(options) => background::start(&mut frame, &options),
        Command::Stop(options) => background::stop(&mut frame, &options),
        Command::Restart(options) => background::restart(&mut frame, &options),
        Command::Chat(options) => chat::run(&mut frame, &options),
        Command::Context(options) => context::run(&mut frame, &options),
        Command::Message(options) => message::run(&mut frame, &options),
        Command::Interact(options) => interact::run(&mut frame, &options),
        Command::Summarize(options) => summarize::run(&mut frame, &options),
        Command::Status(options) => status::run(&mut frame, &options),
        Command::Webhook(options) => webhook::run(&mut frame, &options),
        Command::Audit(options) => audit::run(&mut frame, &options),
        Command::Key(options) => key::run(&mut frame, &options),
        Command::Model(options) => model::run(&mut frame, &options),
        Command::Request(options) => request::run(&mut frame, &options),
        Command::Debug(options) => debug::run(&mut frame, &options),
        Command::Provider(options) => provider::run(&mut frame, &options),
        Command::Config(options) => config::run(&mut frame, &options),
        Command::Doctor(options) => doctor::run(&mut frame, &options),
        Command::Inspect(options) => inspect::run(&mut frame, &options),
        Command::Ping(options) => ping::run(&mut frame, &options),
        Command::Raw(options) => raw::run(&mut frame, &options),
        Command::Bench(options) => bench::run(&mut frame, &options),
        Command::Connect(options) => connect::connect(&mut frame, &options),
        Command::Disconnect(options) => connect::disconnect(&mut frame, &options),
        Command::Mcp(options) => mcp::run(&mut frame, &options),
        Command::Mock(options) => mock::run(&mut frame, &options),
        Command::Backup(options) => backup::run(&mut frame, &options),
        Command::Restore(options) => restore::run(&mut frame, &options),
        Command::Ports(options) => ports::run(&mut frame, &options),
        Command::Api(options) => api::run(&mut frame, &options),
        Command::Completions(options) => completions::run(&mut frame, &options),
    };
    match done {
        // What a server prints is for people who look; its work is done all the same.
        Ok(Exit::Fine) if !serves && frame.printer.has_lost() => Exit::Unchecked,
        Ok(exit) => exit,
        Err(error) => {
            frame.printer.error(&format!("{error:#}"));
            if let Some(hint) = error.downcast_ref::<wire::Fault>().and_then(wire::Fault::hint_text)
            {
                frame.printer.hint(hint);
            }
            Exit::Problem
        }
    }
}

/// How long the end of a command waits for what still blocks: a read of standard input that
/// nobody will ever answer must not keep it.
const BLOCKED_MAX: std::time::Duration = std::time::Duration::from_millis(100);

/// Runs `work` on a runtime of one thread: enough for every command but `serve`.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(BLOCKED_MAX);
    Ok(done)
}
