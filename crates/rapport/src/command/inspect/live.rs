//! Inspecting while it happens: the proxy, the program in between, the lines, the recording.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::Arc;

use anyhow::Context as _;
use doctor::port;
use inspect::decode::{self, Prices};
use inspect::export::{Secrets, line};
use inspect::screen::Screen;
use inspect::{Book, Exchange, Filter, Proxy, ReadTarget, Room, Rule, Settings, Spent, Target};
use tokio::process::Child;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::super::Frame;
use super::super::connect::attach::Place;
use super::checks::{self, Checks, Running};
use super::price::prices;
use super::record::Record;
use super::{Options, show};
use crate::config::{Tls, TlsMode};
use crate::listen::tls;
use crate::print::Exit;

/// What the flags say, read.
pub(super) struct Wanted {
    pub(super) listen: SocketAddr,
    pub(super) target: Target,
    pub(super) rules: Vec<Rule>,
    pub(super) filter: Filter,
    /// What is pointed at the inspector while it runs.
    pub(super) place: Option<Place>,
    /// What is done with every exchange beside showing it.
    pub(super) checks: Checks,
}

/// What becomes of finished exchanges.
struct Ends<'a> {
    frame: &'a mut Frame,
    options: &'a Options,
    filter: Filter,
    prices: Prices,
    /// The recording, while it can be written.
    record: Option<Record>,
    /// Lines are printed: no live view shows the same.
    prints: bool,
    /// What has to be said once the live view is over.
    lost: Option<String>,
    /// Exchanges that were over, or forgotten, before they could be told of.
    missed: u64,
    checks: Running,
}

/// Says why nobody can listen there.
fn taken(frame: &mut Frame, listen: SocketAddr, error: &io::Error) -> Exit {
    frame.printer.error(&format!("cannot listen on {listen}: {error}"));
    let hint = format!("see who has it: `rapport doctor {listen}`, or use `--listen PORT`");
    frame.printer.hint(&hint);
    Exit::Problem
}

/// Serves until a signal ends it.
pub(super) async fn proxy(
    frame: &mut Frame,
    options: &Options,
    wanted: Wanted,
) -> anyhow::Result<Exit> {
    let Wanted { listen, target, rules, filter, place, checks } = wanted;
    let (shown, asked) = (target.to_string(), target.clone());
    let certificate = certificate(frame, options)?;
    let settings = Settings {
        listen,
        host: host(options, &target),
        target,
        targets: ReadTarget::new(|text| {
            super::read_target(text, &port::Place::Argument).map_err(|bad| bad.text)
        }),
        room: Room::default(),
        rules,
        shows_secrets: options.show_secrets,
        prices: prices(),
        tls: certificate.as_ref().map(|made| Arc::clone(&made.config)),
    };
    let record = record(options)?;
    let proxy = match Proxy::start(settings).await {
        Ok(proxy) => proxy,
        Err(error) => return Ok(taken(frame, listen, &error)),
    };
    let address = proxy.address();
    // Whoever is told the address may ask at once.
    let mut news = proxy.book().ends();
    announce(frame, &shown, (address, certificate));
    let prices = proxy.prices().clone();
    let stop = crate::serve::stop_asked();
    tokio::pin!(stop);
    // From here on a signal ends it in order: what is changed now is put back.
    tokio::select! {
        biased;
        stopped = &mut stop => return stopped.map(|()| Exit::Fine),
        () = std::future::ready(()) => {}
    }
    let _attached = super::attach::attach(frame, place, address)?;
    let screen = is_seen(frame, options).then(|| screen(frame, options));
    let mut ends = Ends {
        frame,
        options,
        filter,
        prices,
        record,
        prints: screen.is_none(),
        lost: None,
        missed: 0,
        checks: checks.start(),
    };
    let view = async {
        match &screen {
            Some(screen) => inspect::screen::show(&proxy, screen).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(view);
    let child = checks::start(options, &asked, address)?;
    let mut exit = follow(&mut ends, (&proxy, &mut news, child), (&mut stop, &mut view)).await?;
    // What was over before the end came is told of, whichever was noticed first.
    rest(&mut ends, proxy.book(), &mut news)?;
    ends.say_lost();
    let (kept, forgotten, _) = proxy.book().size();
    let total = kept as u64 + forgotten;
    let Ends { frame, checks, .. } = ends;
    frame.printer.note(&sum(total, proxy.spent()));
    if !checks.finish(frame, options).await? {
        exit = Exit::Problem;
    }
    Ok(exit)
}

/// Tells of every exchange until a signal, the view or the command ends it.
async fn follow(
    ends: &mut Ends<'_>,
    (proxy, news, mut child): (&Proxy, &mut Receiver<u64>, Option<Child>),
    (stop, view): (
        &mut (impl Future<Output = anyhow::Result<()>> + Unpin),
        &mut (impl Future<Output = io::Result<()>> + Unpin),
    ),
) -> anyhow::Result<Exit> {
    loop {
        tokio::select! {
            stopped = &mut *stop => {
                stopped?;
                return Ok(Exit::Fine);
            }
            seen = &mut *view => {
                seen.context("the terminal cannot be used: add --no-tui")?;
                return Ok(Exit::Fine);
            }
            ended = ended(&mut child) => {
                let status = ended?;
                checks::settled(proxy.book()).await;
                rest(ends, proxy.book(), news)?;
                if status.success() {
                    return Ok(Exit::Fine);
                }
                ends.frame.printer.error(&format!("the command ended with {status}"));
                return Ok(Exit::Problem);
            }
            number = news.recv() => match number {
                Ok(number) => ends.over(proxy.book(), number)?,
                Err(RecvError::Lagged(missed)) => ends.missed += missed,
                Err(RecvError::Closed) => return Ok(Exit::Fine),
            },
        }
    }
}

/// The name that the server is asked by; nothing where callers say it.
fn host(options: &Options, target: &Target) -> Option<String> {
    match options.host_header.as_deref() {
        Some("keep") => None,
        Some(name) => Some(name.to_owned()),
        // A server elsewhere finds by this name what it is asked for.
        None => (!target.is_loopback()).then(|| target.authority()),
    }
}

/// Says where to point programs.
fn announce(
    frame: &mut Frame,
    shown: &str,
    (address, certificate): (SocketAddr, Option<tls::Loaded>),
) {
    frame.printer.note(&format!("inspecting {shown}: point your program at http://{address}"));
    frame.printer.note(&format!("in a browser: http://{address}/__rapport__/    end: Ctrl-C"));
    if let Some(path) = certificate.and_then(|made| made.generated) {
        frame.printer.note(&format!("https://localhost:{} too; to trust it:", address.port()));
        for line in tls::trust(&path, address.port()) {
            frame.printer.note(&format!("    {line}"));
        }
    }
    if !address.ip().is_loopback() {
        frame.printer.warn("other machines can reach this, and all goes on to the server");
    }
}

/// The certificate for callers that speak TLS: the one that `serve` uses.
fn certificate(frame: &mut Frame, options: &Options) -> anyhow::Result<Option<tls::Loaded>> {
    if !options.tls {
        return Ok(None);
    }
    let inputs = frame.inputs();
    let loaded = frame.load(&inputs);
    let config = loaded.map_err(|_said| anyhow::anyhow!("correct the configuration first"))?.config;
    let wanted = Tls { mode: TlsMode::Optional, files: config.tls.files.clone() };
    tls::load(&wanted, &config.data)
}

/// Whether somebody sits before a terminal that can show the live view.
fn is_seen(frame: &Frame, options: &Options) -> bool {
    let is_plain =
        options.verb.is_some() || options.no_tui || options.verbose || frame.printer.is_json();
    let is_dumb = frame.env.get("TERM").is_none_or(|name| name == "dumb") && !cfg!(windows);
    !is_plain && !is_dumb && io::stdout().is_terminal() && io::stdin().is_terminal()
}

fn screen(frame: &Frame, options: &Options) -> Screen {
    let known = ["VISUAL", "EDITOR"].iter().find_map(|name| frame.env.get(name));
    let usual = if cfg!(windows) { "notepad" } else { "vi" };
    let words = known.unwrap_or(usual).split_whitespace().map(ToOwned::to_owned);
    Screen { filter: options.filter.clone(), editor: words.collect(), secrets: secrets(options) }
}

/// What was seen and what it cost, in a line.
fn sum(total: u64, spent: Spent) -> String {
    let mut text = format!("{total} {}", if total == 1 { "exchange" } else { "exchanges" });
    if spent.calls > 0 {
        let Spent { calls, tokens_in, tokens_out, .. } = spent;
        text.push_str(&format!(", {calls} calls of models, {tokens_in}→{tokens_out} tokens"));
    }
    if spent.calls > spent.unpriced {
        text.push_str(&format!(", {}", decode::dollars(spent.micro_usd)));
        if spent.unpriced > 0 {
            text.push_str(&format!(" and {} calls without a known price", spent.unpriced));
        }
    }
    text
}

pub(super) fn secrets(options: &Options) -> Secrets {
    if options.show_secrets { Secrets::Kept } else { Secrets::Hidden }
}

pub(super) fn record(options: &Options) -> anyhow::Result<Option<Record>> {
    let path = options.record.as_deref();
    path.map(|path| Record::open(path, options.record_max)).transpose()
}

/// The end of the program of `run`; without one nothing ends.
async fn ended(child: &mut Option<Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// Tells of all that is over and was not told of yet.
fn rest(ends: &mut Ends<'_>, book: &Book, news: &mut Receiver<u64>) -> anyhow::Result<()> {
    loop {
        match news.try_recv() {
            Ok(number) => ends.over(book, number)?,
            Err(TryRecvError::Lagged(missed)) => ends.missed += missed,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
        }
    }
}

impl Ends<'_> {
    /// Says what the lines and the recording lack.
    fn say_lost(&mut self) {
        if let Some(text) = self.lost.take() {
            self.frame.printer.error(&text);
        }
        if self.missed > 0 {
            let missed = self.missed;
            let text = format!("{missed} more are not shown and not recorded: too many at once");
            self.frame.printer.warn(&text);
        }
    }

    fn over(&mut self, book: &Book, number: u64) -> anyhow::Result<()> {
        let Some(exchange) = book.get(number) else {
            // There was no room for it any more.
            self.missed += 1;
            return Ok(());
        };
        self.write(&exchange);
        if !self.prints && !self.checks.wants() {
            return Ok(());
        }
        let view = decode::priced(&exchange, &self.prices);
        self.checks.take(&exchange, &view);
        if !self.prints {
            return Ok(());
        }
        if !self.filter.takes(&exchange, &view) {
            return Ok(());
        }
        let printer = &mut self.frame.printer;
        if self.options.verb.is_some() {
            // Standard output is the program's.
            for text in
                show::lines(&exchange, self.options.verbose, secrets(self.options), &self.prices)
            {
                printer.note(&text);
            }
            return Ok(());
        }
        if printer.is_json() {
            printer.line(&show::json(&exchange, secrets(self.options), &self.prices)?);
            return Ok(());
        }
        let whole = self.options.verbose;
        for text in show::lines(&exchange, whole, secrets(self.options), &self.prices) {
            printer.line(&text);
        }
        Ok(())
    }

    /// A full disk ends the recording and nothing else.
    fn write(&mut self, exchange: &Exchange) {
        let Some(file) = &mut self.record else { return };
        if let Err(error) = file.write(&line(exchange, secrets(self.options))) {
            self.record = None;
            let text = format!("the recording ended: {error}; traffic goes on");
            if self.prints {
                self.frame.printer.error(&text);
            } else {
                self.lost = Some(text);
            }
        }
    }
}
