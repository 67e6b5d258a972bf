//! Stands between a program that speaks over its standard input and output, and its caller.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Command;

use crate::capture::{Book, Ending, Entry, Kind, Way};

/// How long a program may take to end once its input is closed.
const GRACE: Duration = Duration::from_secs(2);

/// Starts a program, passes our standard input to it and its output to ours, and writes down both.
/// Its status when it ended; when `stop` is ready its input is closed, and after a while it is
/// killed.
///
/// # Errors
/// When the program cannot be started.
pub async fn wrap(
    book: &Book,
    command: &[String],
    stop: impl Future<Output = ()>,
) -> io::Result<Option<i32>> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command was given"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let entry = book.open(Kind::Stdio, "standard input".to_owned(), command.join(" "));
    entry.change(|_| {});
    let (mut input, output, aside) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ask = async {
        if let Some(mut to) = input.take() {
            pass(&entry, Way::Asked, &mut tokio::io::stdin(), &mut to).await;
        }
        // The input is closed here, which is how such a program is asked to end.
    };
    let answer = async {
        if let Some(mut from) = output {
            pass(&entry, Way::Answered, &mut from, &mut tokio::io::stdout()).await;
        }
    };
    let aside = async {
        if let Some(mut from) = aside {
            pass(&entry, Way::Aside, &mut from, &mut tokio::io::stderr()).await;
        }
    };
    let over = async { tokio::join!(answer, aside) };
    tokio::pin!(over);
    let mut ask = Some(Box::pin(ask));
    let mut stop = Some(Box::pin(stop));
    let mut late: Option<std::pin::Pin<Box<tokio::time::Sleep>>> = None;
    // A program that ends leaves our input open: nobody waits for that.
    loop {
        tokio::select! {
            _ = &mut over => break,
            () = until(&mut ask) => ask = None,
            () = until(&mut stop) => {
                // Its input closes with this.
                (ask, stop) = (None, None);
                late = Some(Box::pin(tokio::time::sleep(GRACE)));
            }
            () = until(&mut late) => {
                child.start_kill()?;
                late = None;
            }
        }
    }
    let is_asking = ask.is_some();
    drop(ask);
    let status = child.wait().await?;
    entry.end(if status.success() || !is_asking { Ending::Whole } else { Ending::CutByTarget });
    Ok(status.code())
}

/// Waits for what may be over already: then for ever.
async fn until<F: Future<Output = ()> + Unpin>(future: &mut Option<F>) {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn pass<R, W>(entry: &Entry, way: Way, from: &mut R, to: &mut W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        let piece = buffer.get(..length).unwrap_or_default();
        if piece.is_empty() {
            return;
        }
        let written = async {
            to.write_all(piece).await?;
            to.flush().await
        };
        let written = written.await;
        entry.push(way, piece);
        entry.change(|_| {});
        if written.is_err() {
            return;
        }
    }
}
