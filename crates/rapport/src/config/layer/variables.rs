//! Turns environment variables and `.env` files into values by key.

use std::path::Path;

use gateway::provider::Providers;

use super::{Given, Layer, Value, put};
use crate::config::dotenv::Assignment;
use crate::config::env::{Environment, VARIABLES, is_foreign};
use crate::config::keys;
use crate::config::nearest::nearest;
use crate::config::problem::{Findings, Place};

/// How exact a variable's name is; the more exact one wins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// The second variable of a provider's key: `GOOGLE_API_KEY`
    Spare,
    /// `PORT`
    Foreign,
    /// `RAPPORT_PORT`
    Short,
    /// `RAPPORT_SERVER_PORT`
    Full,
}

/// The environment as layers, the least exact names first.
pub(in crate::config) fn of_environment(env: &Environment, findings: &mut Findings) -> Vec<Layer> {
    let all = env.iter().map(|(name, value)| (name, value, Place::Variable(name.to_owned())));
    layers(all, findings)
}

/// The lines of the `.env` file `path` as layers, the least exact names first.
pub(in crate::config) fn of_assignments(
    path: &Path,
    assignments: &[Assignment],
    findings: &mut Findings,
) -> Vec<Layer> {
    let all = assignments.iter().filter(|assignment| !assignment.value.is_empty());
    let all = all.map(|a| {
        let place = Place::DotEnv(path.to_owned(), a.line, a.name.clone());
        (a.name.as_str(), a.value.as_str(), place)
    });
    layers(all, findings)
}

fn layers<'a>(
    all: impl Iterator<Item = (&'a str, &'a str, Place)>,
    findings: &mut Findings,
) -> Vec<Layer> {
    let mut layers = vec![Layer::new(), Layer::new(), Layer::new(), Layer::new()];
    for (name, value, place) in all {
        if is_foreign(name, value) {
            continue;
        }
        let Some((path, rank)) = key_of(name) else {
            unknown(name, &place, findings);
            continue;
        };
        let index = match rank {
            Rank::Spare => 0,
            Rank::Foreign => 1,
            Rank::Short => 2,
            Rank::Full => 3,
        };
        let given = Given { value: Value::Text(value.to_owned()), place, alias: None };
        if let Some(layer) = layers.get_mut(index) {
            put(layer, &path, given, findings);
        }
    }
    layers
}

fn key_of(name: &str) -> Option<(String, Rank)> {
    if let Some(known) = VARIABLES.iter().find(|v| v.name == name && !v.key.is_empty()) {
        let rank = if name.starts_with("RAPPORT_") { Rank::Short } else { Rank::Foreign };
        return Some((known.key.to_owned(), rank));
    }
    if let Some(found) = of_provider(name) {
        return Some(found);
    }
    let exact = keys::all().find(|key| !key.path.contains("NAME") && key.variable() == name);
    if let Some(key) = exact {
        return Some((key.path.to_owned(), Rank::Full));
    }
    keys::all().find_map(|key| named(key.path, name)).map(|path| (path, Rank::Full))
}

/// The key that a variable of a known provider sets.
fn of_provider(name: &str) -> Option<(String, Rank)> {
    Providers::embedded().rows().iter().find_map(|row| {
        if row.base.as_deref() == Some(name) {
            return Some((format!("providers.{}.base_url", row.name), Rank::Foreign));
        }
        let place = row.key.iter().position(|variable| variable == name)?;
        let rank = if place == 0 { Rank::Foreign } else { Rank::Spare };
        Some((format!("providers.{}.api_key", row.name), rank))
    })
}

/// The path of a key with one free name, when `name` is its variable:
/// `RAPPORT_PROVIDERS_OLLAMA_BASE_URL` is `providers.ollama.base_url`.
fn named(pattern: &str, name: &str) -> Option<String> {
    let (before, after) = pattern.split_once("NAME")?;
    if after.contains("NAME") {
        return None;
    }
    let flat = |part: &str| part.to_uppercase().replace('.', "_");
    let middle = name
        .strip_prefix("RAPPORT_")?
        .strip_prefix(&flat(before))?
        .strip_suffix(&flat(after))
        .filter(|middle| !middle.is_empty())?;
    Some(format!("{before}{}{after}", middle.to_lowercase()))
}

/// A variable of ours that does not exist is only worth a warning: environments are shared.
fn unknown(name: &str, place: &Place, findings: &mut Findings) {
    if !name.starts_with("RAPPORT_") || VARIABLES.iter().any(|known| known.name == name) {
        return;
    }
    let full: Vec<String> = keys::all().map(keys::Key::variable).collect();
    let known = full.iter().map(String::as_str).chain(VARIABLES.iter().map(|v| v.name));
    let hint = nearest(name, known).map_or_else(String::new, |near| format!(": not `{near}`?"));
    findings.warn(format!("{place}: no such setting{hint}"));
}
