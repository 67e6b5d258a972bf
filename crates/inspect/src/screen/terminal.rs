//! The terminal itself: taken over, given back, and its keys.

use std::io::{self, Stdout, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::sync::mpsc;

use super::app::App;
use super::draw;

/// Limit: keys that wait to be taken.
const KEYS_MAX: usize = 64;
/// How long the reader of keys waits before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// A terminal that was taken over; it is given back when this drops.
pub(super) struct Raised(Terminal<CrosstermBackend<Stdout>>);

impl Raised {
    pub(super) fn new() -> io::Result<Self> {
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let mut raised = Self(terminal);
        raised.raise()?;
        Ok(raised)
    }

    /// Takes the terminal over.
    pub(super) fn raise(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen)?;
        // Draws all anew, without a question to the terminal that keys would answer.
        let size = self.0.size()?;
        self.0.resize(size.into())
    }

    /// Gives the terminal back for a while.
    pub(super) fn lower(&mut self) -> io::Result<()> {
        self.0.show_cursor()?;
        disable_raw_mode()?;
        execute!(stdout(), LeaveAlternateScreen, Show)
    }

    pub(super) fn draw(&mut self, app: &mut App) -> io::Result<()> {
        self.0.draw(|frame| draw::draw(frame, app))?;
        Ok(())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _gone = self.lower();
    }
}

/// What the terminal says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen {
    Key(KeyEvent),
    Resized,
}

const READS: u8 = 0;
const PAUSES: u8 = 1;
const IS_PAUSED: u8 = 2;
const ENDS: u8 = 3;

/// The keys, read by a thread of their own: reading them waits.
pub(super) struct Keys {
    keys: mpsc::Receiver<Seen>,
    state: Arc<AtomicU8>,
}

impl Keys {
    pub(super) fn start() -> Self {
        let (to, keys) = mpsc::channel(KEYS_MAX);
        let state = Arc::new(AtomicU8::new(READS));
        let shared = Arc::clone(&state);
        // It ends with the receiver, a look later.
        drop(std::thread::spawn(move || read(&to, &shared)));
        Self { keys, state }
    }

    pub(super) async fn next(&mut self) -> Option<Seen> {
        self.keys.recv().await
    }

    /// Leaves the keys to somebody else, from the return of this on.
    pub(super) fn pause(&self) {
        self.state.store(PAUSES, Ordering::SeqCst);
        while self.state.load(Ordering::SeqCst) == PAUSES {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    pub(super) fn go_on(&self) {
        self.state.store(READS, Ordering::SeqCst);
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.state.store(ENDS, Ordering::SeqCst);
    }
}

fn read(to: &mpsc::Sender<Seen>, state: &AtomicU8) {
    loop {
        match state.load(Ordering::SeqCst) {
            ENDS => return,
            PAUSES => {
                state.store(IS_PAUSED, Ordering::SeqCst);
                continue;
            }
            IS_PAUSED => {
                std::thread::park_timeout(LOOK);
                continue;
            }
            _ => {}
        }
        let seen = match event::poll(LOOK) {
            Ok(true) => event::read(),
            Ok(false) => continue,
            Err(error) => Err(error),
        };
        let seen = match seen {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Seen::Key(key),
            Ok(Event::Resize(..)) => Seen::Resized,
            Ok(_) => continue,
            // A terminal that is gone has no more keys.
            Err(_) => break,
        };
        if to.blocking_send(seen).is_err() {
            return;
        }
    }
    // Whoever waits for a pause must not wait for a thread that is gone.
    while state.load(Ordering::SeqCst) != ENDS {
        if state.load(Ordering::SeqCst) == PAUSES {
            state.store(IS_PAUSED, Ordering::SeqCst);
        }
        std::thread::park_timeout(LOOK);
    }
}
