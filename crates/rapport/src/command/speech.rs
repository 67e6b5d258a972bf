//! A turn on the terminal: the reply as it comes, and what is said when it does not come.

use std::io::IsTerminal;

use anstyle::Style;

use super::reach::Client;
use crate::print::Printer;
use crate::remote::{Ask, Failure, Heard, turn};

/// Writes what is heard of a turn.
#[derive(Debug)]
struct Speech<'p> {
    printer: &'p mut Printer,
    /// A person watches: thoughts are shown, dimmed.
    watched: bool,
    thinking: bool,
    /// Something is on the line that is not ended.
    open: bool,
}

impl Speech<'_> {
    fn hear(&mut self, heard: Heard<'_>) {
        match heard {
            Heard::Text(text) => {
                self.stop_thinking();
                self.piece(text);
            }
            Heard::Thinking(text) if self.watched => {
                self.thinking = true;
                let dim = Style::new().dimmed();
                self.printer.piece(&format!("{dim}{text}{dim:#}"));
            }
            Heard::Thinking(_) => {}
            Heard::Tool(name) => {
                self.stop_thinking();
                self.end();
                self.printer.note(&format!("[asks for the tool `{name}`]"));
            }
        }
    }

    fn stop_thinking(&mut self) {
        if std::mem::take(&mut self.thinking) {
            self.printer.piece("\n\n");
        }
    }

    fn piece(&mut self, text: &str) {
        self.printer.piece(text);
        self.open = !text.ends_with('\n');
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            self.printer.piece("\n");
        }
    }
}

/// Runs a turn: the reply is printed as it comes, or the whole turn as JSON. Returns the turn.
///
/// # Errors
/// As [`turn`].
pub(super) async fn speak(client: &mut Client<'_>, ask: &Ask) -> Result<String, Failure> {
    if client.is_json() {
        let done = turn(&client.server, ask, &mut |_| {}).await?;
        client.printer.line(&done);
        return Ok(done);
    }
    let watched = std::io::stdout().is_terminal() && client.printer.has_colour();
    let printer = &mut *client.printer;
    let mut speech = Speech { printer, watched, thinking: false, open: false };
    let done = turn(&client.server, ask, &mut |heard| speech.hear(heard)).await;
    speech.stop_thinking();
    speech.end();
    done
}
