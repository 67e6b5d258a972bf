//! Where the master key of the store lies: in `contexts.vault_key`, else in `vault.key` in the data
//! folder, which is made when it is first needed and which nobody else may read.

use std::io::Write as _;
use std::path::Path;

use context::{KeyBytes, Vault, fresh_key};
use wire::{Code, Fault};

/// The file in the data folder.
const FILE: &str = "vault.key";

/// The vault of a store in `data`, unless the configuration gives the key; a store in memory has
/// one that dies with it.
pub(crate) fn open(given: Option<KeyBytes>, data: Option<&Path>) -> Vault {
    vault(given, data, true)
}

/// As [`open`], for a store that holds what was sealed: another key would open none of it, so none
/// is made.
pub(crate) fn sealed(given: Option<KeyBytes>, data: Option<&Path>) -> Vault {
    vault(given, data, false)
}

fn vault(given: Option<KeyBytes>, data: Option<&Path>, may_make: bool) -> Vault {
    let file = data.map(|data| data.join(FILE));
    Vault::new(Box::new(move || match (given, &file) {
        (Some(key), _) => Ok(key),
        (None, Some(file)) if !may_make && !file.exists() => Err(lost(file)),
        (None, Some(file)) => read_or_make(file),
        (None, None) => fresh_key(),
    }))
}

/// The vault of a store in `data` if it has a key: none is made.
pub(crate) fn existing(given: Option<KeyBytes>, data: &Path) -> Option<Vault> {
    (given.is_some() || data.join(FILE).is_file()).then(|| open(given, Some(data)))
}

fn read_or_make(file: &Path) -> Result<KeyBytes, Fault> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(&text).ok_or_else(|| unusable(&format!("the file `{}`", file.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(file),
        Err(error) => Err(unreadable(file, error)),
    }
}

/// Makes the file; it is on the disk before anything is sealed with the key in it.
fn make(file: &Path) -> Result<KeyBytes, Fault> {
    let key = fresh_key()?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut opened| {
        writeln!(opened, "{}", hex(&key))?;
        opened.sync_all()
    });
    written.map_err(|error| unreadable(file, error))?;
    if let Some(folder) = file.parent().and_then(|folder| std::fs::File::open(folder).ok()) {
        folder.sync_all().map_err(|error| unreadable(file, error))?;
    }
    tracing::info!(file = %file.display(), "made the master key; keep a copy apart from backups");
    Ok(key)
}

fn unreadable(file: &Path, error: std::io::Error) -> Fault {
    let text = format!("the master key `{}` cannot be read or made", file.display());
    Fault::new(Code::ConfigurationError, text)
        .hint("the server must own the file, with mode 0600")
        .because(error)
}

fn lost(file: &Path) -> Fault {
    let text = format!(
        "the store holds encrypted contexts, and their master key `{}` is missing",
        file.display()
    );
    Fault::new(Code::ConfigurationError, text).hint(
        "put the file back from its copy, or give the key as `contexts.vault_key`; another key \
         opens nothing, so none was made",
    )
}

fn unusable(place: &str) -> Fault {
    let text = format!("{place} holds no master key: 64 hexadecimal digits would be right");
    Fault::new(Code::ConfigurationError, text)
        .hint("put the key back from its copy; nothing else opens what was sealed with it")
}

/// Reads 64 hexadecimal digits.
pub(crate) fn parse(text: &str) -> Option<KeyBytes> {
    let text = text.trim();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut key = [0; 32];
    for (place, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let key = read_or_make(&file).unwrap();
        assert_eq!(read_or_make(&file).unwrap(), key);
        assert_ne!(fresh_key().unwrap(), fresh_key().unwrap());
        #[cfg(unix)]
        {
            let mode = std::fs::metadata(&file).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(&file, "short\n").unwrap();
        assert!(read_or_make(&file).unwrap_err().text().contains("64 hexadecimal digits"));
        assert!(parse(&"0g".repeat(32)).is_none() && parse(&"ö".repeat(32)).is_none());
    }
}
