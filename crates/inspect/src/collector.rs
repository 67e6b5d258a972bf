//! Sends spans to a collector of OpenTelemetry, in small batches, beside the traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::capture::Exchange;
use crate::decode::View;
use crate::export::spans;
use crate::http::{Head, Side};
use crate::{Target, tasks};

/// Limit: exchanges that wait; what finds no room is counted and left out.
const WAITING_MAX: usize = 1_024;
/// Limit: exchanges of one request.
const BATCH_MAX: usize = 128;
/// How long a batch is gathered.
const GATHER: Duration = Duration::from_millis(500);
/// How long a collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A collector, and what was sent there.
#[derive(Debug)]
pub struct Collector {
    to: Option<mpsc::Sender<Box<(Exchange, View)>>>,
    worker: Option<tokio::task::JoinHandle<()>>,
    count: Arc<Count>,
}

#[derive(Debug, Default)]
struct Count {
    sent: AtomicU64,
    lost: AtomicU64,
    why: Mutex<Option<String>>,
}

impl Collector {
    /// Sends to `target`, below `path` (`/v1/traces` where the collector follows the standard).
    #[must_use]
    pub fn start(target: Target, path: &str) -> Self {
        let (to, from) = mpsc::channel(WAITING_MAX);
        let count = Arc::new(Count::default());
        let worker = tasks::spawn(work(from, (target, path.to_owned()), Arc::clone(&count)));
        Self { to: Some(to), worker: Some(worker), count }
    }

    /// Takes an exchange that is over; never waits.
    pub fn take(&self, exchange: Exchange, view: View) {
        let taken = self.to.as_ref().map(|to| to.try_send(Box::new((exchange, view))));
        if !matches!(taken, Some(Ok(()))) {
            self.count.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends what still waits, and says in one sentence how it went.
    pub async fn finish(mut self) -> Result<String, String> {
        drop(self.to.take());
        if let Some(worker) = self.worker.take() {
            // What cannot be sent in this time is counted as lost.
            let _late = tokio::time::timeout(PATIENCE, worker).await;
        }
        let sent = self.count.sent.load(Ordering::Relaxed);
        let lost = self.count.lost.load(Ordering::Relaxed);
        let why = self.count.why.lock().take();
        match (lost, why) {
            (0, _) => Ok(format!("{sent} spans sent")),
            (_, Some(why)) => Err(format!("{sent} spans sent, {lost} lost: the collector {why}")),
            (_, None) => {
                Err(format!("{sent} spans sent, {lost} lost: there were too many at once"))
            }
        }
    }
}

async fn work(
    mut from: mpsc::Receiver<Box<(Exchange, View)>>,
    (target, path): (Target, String),
    count: Arc<Count>,
) {
    let mut is_open = true;
    while is_open {
        let Some(first) = from.recv().await else { return };
        let mut batch = vec![*first];
        let until = tokio::time::Instant::now() + GATHER;
        while batch.len() < BATCH_MAX && is_open {
            match tokio::time::timeout_at(until, from.recv()).await {
                Ok(Some(next)) => batch.push(*next),
                Ok(None) => is_open = false,
                Err(_) => break,
            }
        }
        let number = batch.len() as u64;
        let body = spans(&batch).to_string();
        drop(batch);
        let sent = tokio::time::timeout(PATIENCE, send(&target, &path, &body)).await;
        match sent.unwrap_or_else(|_| Err("does not answer".to_owned())) {
            Ok(()) => drop(count.sent.fetch_add(number, Ordering::Relaxed)),
            Err(why) => {
                count.lost.fetch_add(number, Ordering::Relaxed);
                *count.why.lock() = Some(why);
            }
        }
    }
}

/// Posts JSON, and wants a good answer.
///
/// # Errors
/// Why there was none, after the target's name.
pub(crate) async fn send(target: &Target, path: &str, body: &str) -> Result<(), String> {
    let mut stream = target.connect().await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        target.authority(),
        body.len()
    );
    let said = |cause: std::io::Error| format!("broke the connection off: {cause}");
    stream.write_all(head.as_bytes()).await.map_err(said)?;
    stream.write_all(body.as_bytes()).await.map_err(said)?;
    let mut answer = Vec::new();
    // Limit: bytes of an answer that are read; only its status counts.
    while answer.len() < 64 * 1024 && stream.read_buf(&mut answer).await.map_err(said)? > 0 {
        if let Ok(Some(head)) = Head::read(&answer, Side::Answer) {
            return match head.status() {
                200..300 => Ok(()),
                status => Err(format!("answered {status} to POST {path}")),
            };
        }
    }
    Err("did not answer in HTTP".to_owned())
}
