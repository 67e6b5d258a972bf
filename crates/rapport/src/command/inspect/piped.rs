//! Inspecting a program that speaks over its standard input and output.

use std::convert::Infallible;
use std::time::Duration;

use doctor::port;
use inspect::export::line;
use inspect::{Book, News, Room, Target};
use tokio::sync::broadcast::error::RecvError;

use super::super::Frame;
use super::live::{record, secrets};
use super::price::prices;
use super::{Options, show};
use crate::print::Exit;

/// The least time between two tellings of one conversation.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the last telling may take: a caller waits for the end of its program.
const PATIENCE: Duration = Duration::from_secs(2);

/// Stands between our standard input and output and a program's, until it ends.
pub(super) async fn stdio(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let mut record = record(options)?;
    let book = Book::new(Room::default());
    let there = there(options);
    let stop = async {
        if crate::serve::stop_asked().await.is_err() {
            // Without signals only the end of the input ends it.
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        status = inspect::wrap(&book, &options.command, stop) => status,
        never = tell(&book, options, there.as_ref()) => match never {},
    };
    let status = match ended {
        Ok(status) => status,
        Err(error) => {
            let program = options.command.first().map_or("", String::as_str);
            frame.printer.error(&format!("`{program}` cannot be started: {error}"));
            frame.printer.hint(&format!("see why: `rapport doctor --stdio '{program}'`"));
            return Ok(Exit::Problem);
        }
    };
    let Some(exchange) = book.get(1) else { return Ok(Exit::Problem) };
    if let Some((target, key)) = &there {
        let told = inspect::tell(target, key, &exchange, secrets(options));
        // An inspector that is gone has nothing to show it in.
        let _late = tokio::time::timeout(PATIENCE, told).await;
    }
    // Standard output is the program's: what we have to say goes beside it. One that was put
    // before the program by an inspector says it there.
    if there.is_none() {
        for text in show::lines(&exchange, options.verbose, secrets(options), &prices()) {
            frame.printer.note(&text);
        }
    }
    if let Some(file) = &mut record {
        file.write(&line(&exchange, secrets(options)))?;
    }
    Ok(if status == Some(0) { Exit::Fine } else { Exit::Problem })
}

/// The inspector that is told of the conversation, and the conversation's name there.
fn there(options: &Options) -> Option<(Target, String)> {
    let text = options.tell.as_ref()?;
    let target = super::read_target(text, &port::Place::Flag("--tell".to_owned())).ok()?;
    let begun = jiff::Timestamp::now().as_microsecond();
    Some((target, format!("{}-{begun}", std::process::id())))
}

/// Tells of the conversation as it grows.
async fn tell(book: &Book, options: &Options, there: Option<&(Target, String)>) -> Infallible {
    let Some((target, key)) = there else { return std::future::pending().await };
    let mut news = book.watch();
    loop {
        match news.recv().await {
            Ok(News::Changed(_)) | Err(RecvError::Lagged(_)) => {}
            Ok(News::Over(_)) | Err(RecvError::Closed) => return std::future::pending().await,
        }
        tokio::time::sleep(PAUSE).await;
        while news.try_recv().is_ok() {}
        let Some(exchange) = book.get(1) else { continue };
        if exchange.is_open() {
            // One that is gone may come back; the program goes on without it.
            let _untold = inspect::tell(target, key, &exchange, secrets(options)).await;
        }
    }
}
