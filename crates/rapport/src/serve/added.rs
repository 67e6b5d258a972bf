//! Writes down what the API adds and reads everything again: all of it counts, or nothing changed.

use std::path::Path;

use gateway::joined::AddedServer;
use wire::{Code, Fault};

use super::keeper::What;
use super::reload::{Running, stamps};
use crate::config::added;
use crate::data::text_of;

impl Running<'_> {
    /// Grants a wish.
    pub(super) fn grant(&mut self, what: &What) -> Result<(), Fault> {
        match what {
            What::Provider(wanted) => self.provider(wanted),
            What::Server(added) => self.keep_server(added),
            What::NoServer(name) => self.forget_server(name),
        }
    }

    fn keep_server(&mut self, added: &AddedServer) -> Result<(), Fault> {
        let file = added::servers(&self.started.config.data);
        let group = format!("mcp.servers.{}", added.name);
        if let Some(place) = self.loaded.stack.elsewhere(&group, &file) {
            let text = format!("server `{}` is configured already: {place}", added.name);
            return Err(Fault::new(Code::Conflict, text).hint("change it there"));
        }
        let before = text_of(&file).map_err(|error| unread(&error))?;
        let text = added::with_server(before.as_deref(), added);
        self.replace(&file, &text.map_err(|error| unwritten(&file, &error))?)
    }

    fn forget_server(&mut self, name: &str) -> Result<(), Fault> {
        let file = added::servers(&self.started.config.data);
        let before = text_of(&file).map_err(|error| unread(&error))?;
        let text = added::without_server(before.as_deref(), name)
            .map_err(|error| unwritten(&file, &error))?;
        let Some(text) = text else {
            let group = format!("mcp.servers.{name}");
            let place = self.loaded.stack.elsewhere(&group, &file);
            let place = place.map(|place| place.to_string()).unwrap_or_default();
            let text = format!("server `{name}` was not added: {place}");
            return Err(Fault::new(Code::Conflict, text).hint("take it out there"));
        };
        self.replace(&file, &text)?;
        crate::logins::remove(&self.started.config.data, name);
        Ok(())
    }

    /// Writes a file and reads everything again; if that fails, the file is as it was.
    pub(super) fn replace(&mut self, file: &Path, text: &str) -> Result<(), Fault> {
        let failed = |error: anyhow::Error| unwritten(file, &error);
        let before = text_of(file).map_err(|error| unread(&error))?;
        crate::data::write_private(file, text.as_bytes()).map_err(failed)?;
        let problems = self.try_reload().err();
        if problems.is_some() {
            let undone = match &before {
                Some(before) => crate::data::write_private(file, before.as_bytes()),
                None => std::fs::remove_file(file).map_err(anyhow::Error::from),
            };
            undone.map_err(failed)?;
        }
        self.seen = stamps(&self.loaded.watched);
        match problems {
            None => Ok(()),
            Some(problems) => {
                let said: Vec<&str> = problems.iter().map(|text| within(file, text)).collect();
                Err(Fault::new(Code::InvalidInput, said.join("; ")).hint("nothing was changed"))
            }
        }
    }
}

/// A problem without its place where that is in our own file, which no caller wrote.
fn within<'a>(file: &Path, problem: &'a str) -> &'a str {
    let ours = problem.strip_prefix(file.display().to_string().as_str());
    let behind =
        ours.and_then(|rest| rest.strip_prefix(':')).and_then(|rest| rest.split_once(": "));
    match behind {
        Some((line, text)) if line.bytes().all(|b| b.is_ascii_digit()) => text,
        _ => problem,
    }
}

pub(super) fn unread(error: &anyhow::Error) -> Fault {
    Fault::new(Code::StorageError, format!("{error:#}")).hint("nothing was changed")
}

pub(super) fn unwritten(file: &Path, error: &anyhow::Error) -> Fault {
    let text = format!("{} cannot be written: {error:#}", file.display());
    Fault::new(Code::StorageError, text)
}
