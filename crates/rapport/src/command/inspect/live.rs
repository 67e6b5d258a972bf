//! Inspecting while it happens: the proxy, the program in between, the lines, the recording.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use inspect::export::{Secrets, line};
use inspect::{Book, Exchange, Filter, News, Proxy, Room, Rule, Settings, Target, decode};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::super::Frame;
use super::{Options, show};
use crate::print::Exit;

/// What becomes of finished exchanges.
struct Ends<'a> {
    frame: &'a mut Frame,
    options: &'a Options,
    filter: Filter,
    /// The recording, while it can be written.
    record: Option<File>,
}

/// Serves until a signal ends it.
pub(super) async fn proxy(
    frame: &mut Frame,
    options: &Options,
    (listen, target, rules, filter): (SocketAddr, Target, Vec<Rule>, Filter),
) -> anyhow::Result<Exit> {
    let host = match options.host_header.as_deref() {
        Some("keep") => None,
        Some(name) => Some(name.to_owned()),
        // A server elsewhere finds by this name what it is asked for.
        None => (!target.is_loopback()).then(|| target.authority()),
    };
    let shown = target.to_string();
    let settings = Settings {
        listen,
        target,
        room: Room::default(),
        rules,
        host,
        shows_secrets: options.show_secrets,
    };
    let record = options.record.as_deref().map(open).transpose()?;
    let proxy = match Proxy::start(settings).await {
        Ok(proxy) => proxy,
        Err(error) => {
            frame.printer.error(&format!("cannot listen on {listen}: {error}"));
            let hint = format!("see who has it: `rapport doctor {listen}`, or use `--listen PORT`");
            frame.printer.hint(&hint);
            return Ok(Exit::Problem);
        }
    };
    let address = proxy.address();
    frame.printer.note(&format!("inspecting {shown}: point your program at http://{address}"));
    frame.printer.note(&format!("in a browser: http://{address}/__rapport__/    end: Ctrl-C"));
    if !listen.ip().is_loopback() {
        frame.printer.warn("other machines can reach this, and all goes on to the server");
    }
    let mut ends = Ends { frame, options, filter, record };
    let mut news = proxy.book().watch();
    let stop = crate::serve::stop_asked();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            stopped = &mut stop => {
                stopped?;
                break;
            }
            number = next(&mut news) => match number {
                Some(number) => ends.over(proxy.book(), number)?,
                None => break,
            },
        }
    }
    let (kept, forgotten, _) = proxy.book().size();
    let total = kept as u64 + forgotten;
    ends.frame.printer.note(&format!("{total} exchanges"));
    Ok(Exit::Fine)
}

/// Stands between our standard input and output and a program's, until it ends.
pub(super) async fn stdio(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let mut record = options.record.as_deref().map(open).transpose()?;
    let book = Book::new(Room::default());
    let status = match inspect::wrap(&book, &options.command).await {
        Ok(status) => status,
        Err(error) => {
            let program = options.command.first().map_or("", String::as_str);
            frame.printer.error(&format!("`{program}` cannot be started: {error}"));
            frame.printer.hint(&format!("see why: `rapport doctor --stdio '{program}'`"));
            return Ok(Exit::Problem);
        }
    };
    let Some(exchange) = book.get(1) else { return Ok(Exit::Problem) };
    // Standard output is the program's: what we have to say goes beside it.
    for text in show::lines(&exchange, options.verbose, secrets(options)) {
        frame.printer.note(&text);
    }
    if let Some(file) = &mut record {
        writeln!(file, "{}", line(&exchange, secrets(options)))?;
    }
    Ok(if status == Some(0) { Exit::Fine } else { Exit::Problem })
}

pub(super) fn secrets(options: &Options) -> Secrets {
    if options.show_secrets { Secrets::Kept } else { Secrets::Hidden }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    // Prompts are nobody else's business.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).with_context(|| format!("cannot write `{}`", path.display()))
}

async fn next(news: &mut Receiver<News>) -> Option<u64> {
    loop {
        match news.recv().await {
            Ok(News::Over(number)) => return Some(number),
            Ok(News::Changed(_)) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

impl Ends<'_> {
    fn over(&mut self, book: &Book, number: u64) -> anyhow::Result<()> {
        let Some(exchange) = book.get(number) else { return Ok(()) };
        self.write(&exchange);
        let view = decode::view(&exchange);
        if !self.filter.takes(&exchange, &view) {
            return Ok(());
        }
        let printer = &mut self.frame.printer;
        if printer.is_json() {
            printer.line(&show::json(&exchange, secrets(self.options))?);
            return Ok(());
        }
        for text in show::lines(&exchange, self.options.verbose, secrets(self.options)) {
            printer.line(&text);
        }
        Ok(())
    }

    /// A full disk ends the recording and nothing else.
    fn write(&mut self, exchange: &Exchange) {
        let Some(file) = &mut self.record else { return };
        if let Err(error) = writeln!(file, "{}", line(exchange, secrets(self.options))) {
            self.record = None;
            let text = format!("the recording ended: {error}; traffic goes on");
            self.frame.printer.error(&text);
        }
    }
}
