//! The live view in a terminal: a list of what goes by, and all of one exchange.
//!
//! Invariant: however it ends, the terminal is as it was.

mod act;
mod app;
mod draw;
mod keys;
mod pane;
mod row;
mod terminal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use crate::Proxy;
use crate::capture::News;
use crate::export::Secrets;
use app::{Act, App, Mode};

/// How often changes are drawn.
const PAUSE: Duration = Duration::from_millis(50);

/// What the live view has to know.
pub struct Screen {
    /// The filter it begins with.
    pub filter: String,
    /// The editor for bodies: its program and its arguments.
    pub editor: Vec<String>,
    /// Whether secrets are shown.
    pub secrets: Secrets,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("filter", &self.filter).finish_non_exhaustive()
    }
}

/// Shows a proxy's traffic until the user has seen enough. Must run on a terminal.
///
/// # Errors
/// When the terminal cannot be taken over or written to.
pub async fn show(proxy: &Proxy, screen: &Screen) -> io::Result<()> {
    let title = format!("rapport inspect  {} → {}", proxy.address(), proxy.target());
    let mut app = App::new(title, proxy.prices().clone(), screen.secrets);
    app.set_filter(&screen.filter, proxy.book());
    app.said.clear();
    let mut news = proxy.book().watch();
    let mut keys = terminal::Keys::start();
    let mut terminal = terminal::Raised::new()?;
    let mut changed = BTreeSet::new();
    let mut is_drawn = false;
    let mut tick = tokio::time::interval(PAUSE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            key = keys.next() => {
                let act = match key {
                    Some(terminal::Seen::Key(key)) => {
                        take(proxy, &mut app, &mut changed);
                        keys::key(&mut app, key, proxy.book())
                    }
                    Some(terminal::Seen::Resized) => None,
                    None => Some(Act::Quit),
                };
                match act {
                    Some(Act::Quit) => return Ok(()),
                    Some(Act::Edit(number)) => {
                        keys.pause();
                        terminal.lower()?;
                        act::edit(proxy, screen, &mut app, number).await;
                        terminal.raise()?;
                        keys.go_on();
                    }
                    Some(other) => act::act(proxy, screen, &mut app, other),
                    None => {}
                }
            }
            told = news.recv() => match told {
                Ok(News::Changed(number) | News::Over(number)) => {
                    changed.insert(number);
                    continue;
                }
                Err(RecvError::Lagged(_)) => {
                    proxy.book().each(0, |exchange| {
                        changed.insert(exchange.number);
                        true
                    });
                    continue;
                }
                Err(RecvError::Closed) => return Ok(()),
            },
            _ = tick.tick() => {
                if !take(proxy, &mut app, &mut changed) && is_drawn {
                    continue;
                }
            }
        }
        app.read_if_seen(proxy.book());
        terminal.draw(&mut app)?;
        is_drawn = true;
    }
}

/// Brings the view up to date; whether there is anything new to draw.
fn take(proxy: &Proxy, app: &mut App, changed: &mut BTreeSet<u64>) -> bool {
    let held = proxy.held();
    let mut is_new = !changed.is_empty() || held != app.held;
    for number in std::mem::take(changed) {
        if let Some(exchange) = proxy.book().get(number) {
            app.take(&exchange);
        }
    }
    let spent = proxy.spent();
    is_new |= spent != app.spent;
    app.spent = spent;
    app.held = held;
    if let Some(first) = proxy.book().first() {
        app.forget_before(first);
    }
    is_new
}

impl App {
    /// Reads the pane that is in sight.
    fn read_if_seen(&mut self, book: &crate::Book) {
        if self.pane != pane::Pane::Difference || self.mode == Mode::List {
            self.read(book);
        }
    }
}
