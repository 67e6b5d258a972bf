//! Working with a recording: list, show, send again, compare, turn into an archive.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use doctor::port::Place;
use inspect::export::{Secrets, curl, har, pcap, read, read_har};
use inspect::{Book, Ending, Exchange, Filter, Kind, Room, Target, decode, diff};

use super::super::{Frame, block_on};
use super::price::prices;
use super::{Options, live, show};
use crate::print::Exit;

/// So much of a file says what it is.
const HEAD_BYTES: u64 = 256;

/// Reads a recording and does with it what the flags say.
pub(super) fn run(
    frame: &mut Frame,
    options: &Options,
    (path, filter): (&Path, &Filter),
) -> anyhow::Result<Exit> {
    let all = load(frame, path)?;
    let secrets = live::secrets(options);
    if options.har.is_some() || options.pcap.is_some() {
        return exported(frame, options, (&all, filter));
    }
    if let Some([a, b]) = options.diff.as_deref() {
        let (Some(a), Some(b)) = (find(frame, &all, *a), find(frame, &all, *b)) else {
            return Ok(Exit::Usage);
        };
        return differences(frame, a, b);
    }
    if let Some(number) = options.replay {
        let Some(exchange) = find(frame, &all, number) else { return Ok(Exit::Usage) };
        return replay(frame, options, exchange);
    }
    if let Some(number) = options.show {
        let Some(exchange) = find(frame, &all, number) else { return Ok(Exit::Usage) };
        if options.curl {
            return Ok(as_curl(frame, exchange, secrets));
        }
        if frame.printer.is_json() {
            frame.printer.line(&show::json(exchange, secrets, &prices())?);
        } else {
            let lines = show::lines(exchange, true, secrets, &prices());
            frame.printer.line(&lines.join("\n"));
        }
        return Ok(Exit::Fine);
    }
    for exchange in &all {
        if !filter.takes(exchange, &decode::view(exchange)) {
            continue;
        }
        if frame.printer.is_json() {
            frame.printer.line(&show::json(exchange, secrets, &prices())?);
        } else {
            let lines = show::lines(exchange, options.verbose, secrets, &prices());
            frame.printer.line(&lines.join("\n"));
        }
    }
    Ok(Exit::Fine)
}

/// Prints the command that sends the exchange's request again.
fn as_curl(frame: &mut Frame, exchange: &Exchange, secrets: Secrets) -> Exit {
    match curl(exchange, secrets) {
        Ok(command) => {
            if command.contains("[hidden]") {
                frame.printer.warn("`[hidden]` stands in the places of secrets");
                frame.printer.hint(
                    "write yours there, or record and print with `--show-secrets` to keep them",
                );
            }
            frame.printer.line(&command);
            Exit::Fine
        }
        Err(why) => {
            frame.printer.error(&why);
            Exit::Problem
        }
    }
}

/// Writes what the filter takes for other tools.
fn exported(
    frame: &mut Frame,
    options: &Options,
    (all, filter): (&[Exchange], &Filter),
) -> anyhow::Result<Exit> {
    let secrets = live::secrets(options);
    let taken: Vec<Exchange> = all
        .iter()
        .filter(|exchange| filter.takes(exchange, &decode::view(exchange)))
        .cloned()
        .collect();
    if let Some(out) = &options.har {
        let text = serde_json::to_string_pretty(&har(&taken, secrets))?;
        save(out, text.as_bytes())?;
        frame.printer.note(&format!("{} exchanges read, {} written", taken.len(), out.display()));
    }
    if let Some(out) = &options.pcap {
        let (bytes, count) = pcap(&taken, secrets);
        save(out, &bytes)?;
        frame.printer.note(&format!("{count} exchanges written to {}", out.display()));
        if count < taken.len() {
            let text = "what went over a pipe, and streams of HTTP/2 (their connection is there), \
                        are no packets";
            frame.printer.note(&format!("{} left out: {text}", taken.len() - count));
        }
    }
    Ok(Exit::Fine)
}

fn save(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // Prompts are nobody else's business.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let said = || format!("cannot write `{}`", path.display());
    options.open(path).and_then(|mut file| file.write_all(bytes)).with_context(said)
}

/// All exchanges of a recording or an archive. A last line that was cut off, as by a kill, is left
/// out and said.
pub(in crate::command) fn load(frame: &mut Frame, path: &Path) -> anyhow::Result<Vec<Exchange>> {
    let said = || format!("cannot read `{}`", path.display());
    if is_archive(path).with_context(said)? {
        let text = std::fs::read_to_string(path).with_context(said)?;
        return read_har(&text).with_context(|| format!("`{}`", path.display()));
    }
    let file = File::open(path).with_context(said)?;
    let mut all: Vec<Exchange> = Vec::new();
    for (place, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(said)?;
        if line.trim().is_empty() {
            continue;
        }
        match read(&line) {
            Ok(exchange) => all.push(exchange),
            Err(why) => {
                let text = format!("line {} of `{}` is left out: {why}", place + 1, path.display());
                frame.printer.warn(&text);
            }
        }
    }
    // Several runs may have written to one file: then the numbers begin anew.
    let is_one_run = all.windows(2).all(|pair| matches!(pair, [a, b] if a.number < b.number));
    if !is_one_run {
        for (place, exchange) in (1..).zip(&mut all) {
            exchange.number = place;
        }
    }
    Ok(all)
}

/// Whether a file begins as an HTTP archive does: an object with `log`.
fn is_archive(path: &Path) -> std::io::Result<bool> {
    let mut head = String::new();
    File::open(path)?.take(HEAD_BYTES).read_to_string(&mut head).or_else(|error| {
        // Cut in the middle of a letter, or no text: what it is its reader will say.
        if error.kind() == ErrorKind::InvalidData { Ok(0) } else { Err(error) }
    })?;
    let text = head.trim_start_matches('\u{feff}').trim_start();
    let Some(rest) = text.strip_prefix('{') else { return Ok(false) };
    Ok(rest.trim_start().starts_with("\"log\""))
}

fn find<'a>(frame: &mut Frame, all: &'a [Exchange], number: u64) -> Option<&'a Exchange> {
    let found = all.iter().find(|exchange| exchange.number == number);
    if found.is_none() {
        frame.printer.error(&format!("the recording has no exchange {number}"));
        let numbers = all.first().zip(all.last());
        if let Some((first, last)) = numbers {
            frame.printer.hint(&format!("there are {} to {}", first.number, last.number));
        }
    }
    found
}

fn differences(frame: &mut Frame, a: &Exchange, b: &Exchange) -> anyhow::Result<Exit> {
    let differences = diff(a, b);
    if frame.printer.is_json() {
        frame.printer.json(&differences)?;
    } else if differences.is_empty() {
        frame.printer.line("no difference");
    }
    for one in differences.iter().filter(|_| !frame.printer.is_json()).collect::<Vec<_>>() {
        frame.printer.line(&one.place);
        for (mark, text) in [('-', &one.first), ('+', &one.second)] {
            if let Some(text) = text {
                frame.printer.line(&format!("  {mark} {text}"));
            }
        }
    }
    Ok(if differences.is_empty() { Exit::Fine } else { Exit::Problem })
}

fn replay(frame: &mut Frame, options: &Options, exchange: &Exchange) -> anyhow::Result<Exit> {
    let text = options.to.as_deref().unwrap_or(&exchange.target);
    let target: Target = match super::target(frame, text, &Place::Flag("--to".to_owned())) {
        Ok(target) => target,
        Err(exit) => return Ok(exit),
    };
    let hidden = exchange.asked.bytes().windows(8).any(|window| window == b"[hidden]");
    if hidden {
        frame.printer.warn("the recording has no secrets: a server that wants a key will refuse");
        frame.printer.hint("record with `--show-secrets` what is to be sent again with its key");
    }
    let book = Book::new(Room::default());
    let mut headers = Vec::new();
    for text in &options.headers {
        let Some((name, value)) = text.split_once(':') else {
            return Ok(super::usage(
                frame,
                &format!("`{text}` is no header"),
                "write `NAME: VALUE`",
            ));
        };
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    if let Some(host) = options.host_header.as_ref().filter(|host| *host != "keep") {
        headers.push(("Host".to_owned(), host.clone()));
    }
    let sent = block_on(inspect::replay_with(exchange, &target, &book, &headers))?;
    let number = match sent {
        Ok(number) => number,
        Err(why) => {
            frame.printer.error(&why);
            return Ok(Exit::Problem);
        }
    };
    let Some(again) = book.get(number) else { return Ok(Exit::Problem) };
    let lines = show::lines(&again, options.verbose, live::secrets(options), &prices());
    frame.printer.line(&lines.join("\n"));
    differences(frame, exchange, &again)?;
    let failed = match (&again.answer, again.kind) {
        (Some(head), _) => head.status() >= 400,
        // Lines have no head: that all was said and heard is what there is to know.
        (None, kind) => kind != Kind::Lines || again.ending != Ending::Whole,
    };
    Ok(if failed { Exit::Problem } else { Exit::Fine })
}
