//! Plays a recording as a server: the same requests get the same answers, byte for byte.

mod serve;
mod shelf;
mod spoken;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub use shelf::{Fit, LeftOut};

use crate::capture::Exchange;
use crate::proxy::Target;
use crate::tasks;
use shelf::Shelf;

/// Limit: connections at the same time.
const CONNECTIONS_MAX: usize = 4096;

/// Whether answers take as long as they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every piece comes as long after the request as it came then.
    Recorded,
    /// Every piece comes at once.
    AtOnce,
}

/// What is played, and how.
#[derive(Debug)]
pub struct Playing {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The recording.
    pub exchanges: Vec<Exchange>,
    /// How fast.
    pub pace: Pace,
    /// Which requests are the same.
    pub fit: Fit,
    /// Who answers what was not recorded; without one it is refused with 404.
    pub beyond: Option<Target>,
}

/// A running player; it ends when this drops.
#[derive(Debug)]
pub struct Player {
    address: SocketAddr,
    stage: Arc<Stage>,
    listener: JoinHandle<()>,
}

/// What all connections share.
#[derive(Debug)]
struct Stage {
    shelf: Shelf,
    pace: Pace,
    beyond: Option<Target>,
}

impl Player {
    /// Listens, and answers as was recorded.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(playing: Playing) -> io::Result<Self> {
        let listener = TcpListener::bind(playing.listen).await?;
        let address = listener.local_addr()?;
        let shelf = Shelf::new(&playing.exchanges, playing.fit);
        let stage = Arc::new(Stage { shelf, pace: playing.pace, beyond: playing.beyond });
        let listener = tasks::spawn(accept(listener, Arc::clone(&stage)));
        Ok(Self { address, stage, listener })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many exchanges can be answered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.stage.shelf.count()
    }

    /// The exchanges that cannot be played, and why.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        self.stage.shelf.left_out()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn accept(listener: TcpListener, stage: Arc<Stage>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _slower = stream.set_nodelay(true);
        let stage = Arc::clone(&stage);
        drop(tasks::spawn(async move {
            serve::all(&stage, stream).await;
            drop(place);
        }));
    }
}
