//! Keys of providers that the API was given in clear: kept encrypted, each bound to its provider
//! and to the address that gets it.

use std::path::Path;

use context::Vault;
use gateway::provider::Added;
use wire::Fault;

use super::values::{Found, Values};

/// What a sealed key begins with.
const PREFIX: &str = "sealed:";

/// Tells whether a text is a sealed key.
pub(crate) fn is_sealed(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Seals a provider's key.
///
/// # Errors
/// When the master key cannot be read or made.
pub(crate) fn seal(vault: &Vault, added: &Added, key: &str) -> Result<String, Fault> {
    let place = place(&added.name, added.base_url.as_deref());
    let sealed = vault.seal(&place, key.as_bytes())?;
    Ok(sealed.iter().fold(PREFIX.to_owned(), |out, byte| out + &format!("{byte:02x}")))
}

/// Opens the sealed key of the setting `path`. One that does not open is no reason not to start: a
/// warning says so, and the provider has no key.
pub(super) fn open(path: &str, found: &Found, values: &mut Values<'_>) -> Option<(String, String)> {
    let (name, shown, opened) = opened(path, found, values)?;
    match opened {
        Ok(key) => Some((key, format!("{shown} (encrypted)"))),
        Err(problem) => {
            values.findings.warn(format!(
                "the key of provider `{name}` in {shown} does not open: {problem}; send it again \
                 with `PATCH /api/v1/providers/{name}`"
            ));
            None
        }
    }
}

/// Why a sealed key does not open; nothing when it does.
pub(super) fn trouble(path: &str, found: &Found, values: &mut Values<'_>) -> Option<String> {
    let (_, shown, opened) = opened(path, found, values)?;
    opened.err().map(|problem| format!("the one in {shown} does not open: {problem}"))
}

/// The provider, the file, and its key or why that does not open.
fn opened<'p>(
    path: &'p str,
    found: &Found,
    values: &mut Values<'_>,
) -> Option<(&'p str, String, Result<String, String>)> {
    let name = path.strip_prefix("providers.")?.strip_suffix(".api_key")?;
    let file = values.folder.join(found.place.file()?);
    let given = values.secret("contexts.vault_key").map(|(key, _)| key);
    let given = given.and_then(|key| crate::vault::parse(key.expose()));
    let data = file.parent()?.to_owned();
    let shown = file.display().to_string();
    let base = values.text(&format!("providers.{name}.base_url"));
    Some((name, shown, unsealed(found, (given, &data), &place(name, base.as_deref()))))
}

fn unsealed(
    found: &Found,
    (given, data): (Option<context::KeyBytes>, &Path),
    place: &str,
) -> Result<String, String> {
    let vault = crate::vault::existing(given, data)
        .ok_or_else(|| "there is no master key, `vault.key`, beside it".to_owned())?;
    let hex = found.text.strip_prefix(PREFIX).unwrap_or_default();
    let sealed = bytes(hex).ok_or_else(|| "it is not what was written there".to_owned())?;
    let plain = vault.open(place, &sealed).map_err(|fault| fault.text().to_owned())?;
    let other = "it was sealed by another master key, or for another address";
    let plain = plain.ok_or_else(|| other.to_owned())?;
    String::from_utf8(plain).map_err(|_binary| "it is no text".to_owned())
}

/// Where a key belongs: at another address, or under another name, it does not open.
fn place(name: &str, base_url: Option<&str>) -> String {
    format!("key of provider {name} at {}", base_url.unwrap_or_default())
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len() / 2).map(|n| u8::from_str_radix(hex.get(n * 2..n * 2 + 2)?, 16).ok()).collect()
}
