//! Working with a recording: list, show, send again, compare, turn into an archive.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Context as _;
use doctor::port::Place;
use inspect::export::{Secrets, curl, har, read};
use inspect::{Book, Exchange, Filter, Room, Target, decode, diff};

use super::super::{Frame, block_on};
use super::price::prices;
use super::{Options, live, show};
use crate::print::Exit;

/// Reads a recording and does with it what the flags say.
pub(super) fn run(
    frame: &mut Frame,
    options: &Options,
    (path, filter): (&Path, &Filter),
) -> anyhow::Result<Exit> {
    let all = load(frame, path)?;
    let secrets = live::secrets(options);
    if let Some(out) = &options.har {
        let text = serde_json::to_string_pretty(&har(&all, secrets))?;
        std::fs::write(out, text).with_context(|| format!("cannot write `{}`", out.display()))?;
        frame.printer.note(&format!("{} exchanges read, {} written", all.len(), out.display()));
        return Ok(Exit::Fine);
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

/// All exchanges of a file. A last line that was cut off, as by a kill, is left out and said.
fn load(frame: &mut Frame, path: &Path) -> anyhow::Result<Vec<Exchange>> {
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut all: Vec<Exchange> = Vec::new();
    for (place, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read `{}`", path.display()))?;
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
    let failed = again.answer.as_ref().is_none_or(|head| head.status() >= 400);
    Ok(if failed { Exit::Problem } else { Exit::Fine })
}
