//! Providers that the API adds, changes and removes: written down first, and counted only if all
//! of the configuration still works.

use gateway::provider::{Added, GivenKey, Providers, Wanted};
use serde_json::{Map, Value, json};
use wire::{Code, Fault};

use super::added::{unread, unwritten};
use super::reload::{Running, stamps};
use crate::config::{added, nearest, sealed};
use crate::data::text_of;
use crate::vault;

/// A provider as it is to be kept.
struct Entry {
    added: Added,
    key: Key,
}

/// What becomes of its key.
enum Key {
    None,
    /// As the file has it.
    Kept(String),
    /// A variable of the server.
    Variable(String),
    /// Encrypted now.
    Sealed(String),
}

impl Running<'_> {
    /// Does what is wanted of a provider; if that fails, nothing has changed.
    pub(super) fn provider(&mut self, wanted: &Wanted) -> Result<(), Fault> {
        let (name, file) = (wanted.name(), added::path(&self.started.config.data));
        let before = text_of(&file).map_err(|error| unread(&error))?;
        let failed = |error: anyhow::Error| unwritten(&file, &error);
        let kept = added::provider(before.as_deref(), name).map_err(failed)?;
        let elsewhere = self.loaded.stack.elsewhere(&format!("providers.{name}"), &file);
        if let Some(place) = elsewhere.filter(|_| kept.is_none() || !is_removal(wanted)) {
            let text = format!("provider `{name}` is configured already: {place}");
            return Err(Fault::new(Code::Conflict, text).hint("change it there"));
        }
        let entry = match (wanted, kept) {
            (Wanted::Put(added), _) => Some(self.given(added.clone())?),
            (_, None) => return Err(unknown(before.as_deref(), name)),
            (Wanted::Change(_, patch), Some(kept)) => Some(self.changed(name, kept, patch)?),
            (Wanted::Remove(_), Some(_)) => None,
        };
        let text = |strict| {
            let entry = entry.as_ref().map(|entry| entry.written(strict)).transpose()?;
            added::with(before.as_deref(), name, entry)
        };
        self.replace(&file, &text(true).map_err(failed)?)?;
        if let Some(entry) = entry.as_ref().filter(|entry| !self.is_configured(&entry.added.name)) {
            let undone = before.as_deref().unwrap_or("{}");
            self.replace(&file, undone)?;
            return Err(incomplete(&entry.added));
        }
        // What is kept forgives, at a later start, a variable that is not set.
        let forgiving = text(false)
            .and_then(|text| crate::data::write_private(&file, text.as_bytes()))
            .map_err(failed);
        self.seen = stamps(&self.loaded.watched);
        forgiving
    }

    /// What was read last has all that this provider needs.
    fn is_configured(&self, name: &str) -> bool {
        self.loaded.config.gateway.providers.iter().any(|provider| provider.name == name)
    }

    /// A provider with the key that came with it.
    fn given(&self, added: Added) -> Result<Entry, Fault> {
        let key = match added.key()? {
            None => Key::None,
            Some(GivenKey::Variable(name)) => Key::Variable(name.to_owned()),
            Some(GivenKey::Clear(key)) => {
                let config = &self.loaded.config;
                let given = config.contexts.vault_key.as_ref();
                let given = given.and_then(|key| vault::parse(key.expose()));
                let vault = vault::open(given, Some(&self.started.config.data));
                Key::Sealed(sealed::seal(&vault, &added, key)?)
            }
        };
        Ok(Entry { added, key })
    }

    /// What is kept of a provider with some members changed.
    fn changed(
        &self,
        name: &str,
        mut kept: Map<String, Value>,
        patch: &Map<String, Value>,
    ) -> Result<Entry, Fault> {
        let old_key = kept.remove("api_key");
        let address = kept.get("base_url").cloned();
        for (member, value) in patch {
            match value {
                Value::Null => kept.shift_remove(member),
                value => kept.insert(member.clone(), value.clone()),
            };
        }
        let is_elsewhere = kept.get("base_url") != address.as_ref();
        kept.insert("name".to_owned(), name.into());
        let added: Added = serde_json::from_value(kept.into()).map_err(|error| {
            Fault::new(Code::InvalidInput, format!("this is no provider: {error}"))
                .hint("docs/providers.md names the members; null takes one away")
        })?;
        added.check()?;
        if patch.contains_key("api_key") {
            return self.given(added);
        }
        match old_key.as_ref().and_then(Value::as_str) {
            Some(key) if is_elsewhere && sealed::is_sealed(key) => {
                let text = format!("the kept key of `{name}` is bound to its address");
                Err(Fault::new(Code::InvalidInput, text)
                    .hint("send `api_key` together with the new `base_url`")
                    .details(json!({"field": "api_key"})))
            }
            Some(key) => Ok(Entry { added, key: Key::Kept(key.to_owned()) }),
            None => Ok(Entry { added, key: Key::None }),
        }
    }
}

impl Entry {
    fn written(&self, strict: bool) -> anyhow::Result<Map<String, Value>> {
        let key = match &self.key {
            Key::None => None,
            Key::Kept(text) | Key::Sealed(text) => Some(text.clone()),
            Key::Variable(name) => Some(added::reference(name, strict)),
        };
        added::entry(&self.added, key.as_deref())
    }
}

fn is_removal(wanted: &Wanted) -> bool {
    matches!(wanted, Wanted::Remove(_))
}

/// A provider that could not be asked as it is.
fn incomplete(added: &Added) -> Fault {
    let name = &added.name;
    let is_known = Providers::embedded().find(name).is_some();
    let (text, hint, field) = if is_known || added.base_url.is_some() {
        let hint = "send it with `api_key`: the key itself, or `env:` and a variable of the server";
        (format!("provider `{name}` has no key"), hint, "api_key")
    } else {
        let hint = "send it with `base_url`, such as `http://127.0.0.1:8000/v1`, or take a name \
                    that `rapport provider list --all` shows";
        (format!("provider `{name}` has no address"), hint, "base_url")
    };
    Fault::new(Code::InvalidInput, text)
        .hint(format!("{hint}; nothing was changed"))
        .details(json!({"field": field}))
}

/// Nobody added a provider of this name.
fn unknown(text: Option<&str>, name: &str) -> Fault {
    let root: Value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let all = root.get("providers").and_then(Value::as_object);
    let names = all.into_iter().flat_map(Map::keys).map(String::as_str);
    let shown: String = name.chars().take(100).collect();
    let hint = match nearest(&shown, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`POST /api/v1/providers` adds one".to_owned(),
    };
    Fault::new(Code::NotFound, format!("no provider `{shown}` was added")).hint(hint)
}
