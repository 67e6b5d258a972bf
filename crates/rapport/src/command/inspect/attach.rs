//! `--attach-config`: another program's configuration leads here while the inspector runs.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::Frame;
use super::super::connect::attach::{self, Attached, Place};
use super::Options;
use crate::print::Exit;

/// What is to be pointed here; and what a killed inspector left is put back first.
///
/// # Errors
/// When the file names nothing that fits.
pub(super) fn place(frame: &mut Frame, options: &Options) -> anyhow::Result<Option<Place>> {
    if let Some(folder) = folder(frame) {
        for (_, text) in attach::recover(&folder) {
            frame.printer.note(&text);
        }
    }
    let Some(what) = &options.attach_config else { return Ok(None) };
    let wanted = match &options.to {
        Some(text) => {
            let place = doctor::port::Place::Flag("--to".to_owned());
            let target = super::read_target(text, &place).map_err(|bad| anyhow::anyhow!(bad.text));
            let target = target?;
            let scheme = if target.has_tls() { "https" } else { "http" };
            Some(format!("{scheme}://{}", target.authority()))
        }
        None => None,
    };
    attach::find(frame, what, options.server.as_deref(), wanted.as_deref()).map(Some)
}

/// Points it here, and says so.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn attach(
    frame: &mut Frame,
    place: Option<Place>,
    address: SocketAddr,
) -> anyhow::Result<Option<Attached>> {
    let Some(place) = place else { return Ok(None) };
    let folder = folder(frame).ok_or_else(|| anyhow::anyhow!("correct the configuration first"))?;
    let attached = attach::attach(place, &format!("http://{address}"), &folder)?;
    for line in attached.told() {
        frame.printer.note(&line);
    }
    frame.printer.note("a program that runs already has to read it again");
    Ok(Some(attached))
}

/// `--detach`: puts back what inspectors that are gone had changed.
pub(super) fn detach(frame: &mut Frame) -> Exit {
    let Some(folder) = folder(frame) else {
        frame.printer.error("the configuration cannot be read, so the data folder is not known");
        frame.printer.hint("see what is wrong: `rapport config check`");
        return Exit::Usage;
    };
    let told = attach::recover(&folder);
    if told.is_empty() {
        frame.printer.line("no file is changed by an inspector that is gone");
    }
    for (_, text) in &told {
        frame.printer.line(text);
    }
    if told.iter().all(|(is_done, _)| *is_done) { Exit::Fine } else { Exit::Problem }
}

/// Where it is kept what was there.
fn folder(frame: &Frame) -> Option<PathBuf> {
    let loaded = crate::config::load(&frame.inputs()).ok()?;
    Some(loaded.config.data.join("inspect"))
}
