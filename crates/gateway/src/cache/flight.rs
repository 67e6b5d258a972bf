//! One asks, the others wait: a hundred identical calls at once cost one.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Name;

/// The questions that are being asked right now.
#[derive(Debug, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Name, watch::Receiver<()>>>>);

/// What a caller does about a question that is not answered yet.
#[derive(Debug)]
pub(crate) enum Seat {
    /// Asks it.
    Lead(Lead),
    /// Waits until whoever asks it is done, however that ends.
    Wait(watch::Receiver<()>),
}

/// Held by the one who asks; the others go on when it drops.
#[derive(Debug)]
pub(crate) struct Lead {
    name: Name,
    flights: Arc<Mutex<HashMap<Name, watch::Receiver<()>>>>,
    _done: watch::Sender<()>,
}

impl Flights {
    pub(super) fn sit(&self, name: Name) -> Seat {
        let mut flights = self.0.lock();
        if let Some(waiting) = flights.get(&name) {
            return Seat::Wait(waiting.clone());
        }
        let (done, waiting) = watch::channel(());
        flights.insert(name, waiting);
        Seat::Lead(Lead { name, flights: Arc::clone(&self.0), _done: done })
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.name);
    }
}
