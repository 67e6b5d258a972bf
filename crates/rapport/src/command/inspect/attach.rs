//! `--attach-config`: another program's configuration leads here while the inspector runs.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::Frame;
use super::super::connect::attach::{self, Attached, Place};
use super::Options;

/// What is to be pointed here; and what a killed inspector left is put back first.
///
/// # Errors
/// When the file names nothing that fits.
pub(super) fn place(frame: &mut Frame, options: &Options) -> anyhow::Result<Option<Place>> {
    if let Some(folder) = folder(frame) {
        for text in attach::recover(&folder) {
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
    let (path, led_to) = attached.told();
    frame.printer.note(&format!("{path} leads here instead of to {led_to} while this runs"));
    frame.printer.note("a program that runs already has to read it again");
    Ok(Some(attached))
}

/// Where it is kept what was there.
fn folder(frame: &Frame) -> Option<PathBuf> {
    let loaded = crate::config::load(&frame.inputs()).ok()?;
    Some(loaded.config.data.join("inspect"))
}
