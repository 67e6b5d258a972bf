//! Log-ins at joined servers on the disk: sealed with the master key, each for its server and its
//! address alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use context::Vault;
use gateway::joined::Logins;
use mcp::client::oauth::Store;

/// The folder below the data folder, which the lists of joined servers share.
const FOLDER: &str = "mcp";
/// Limit: one log-in.
const BYTES_MAX: u64 = 1024 * 1024;

/// The log-ins of a data folder.
#[derive(Debug)]
pub(crate) struct Sealed {
    folder: PathBuf,
    vault: Arc<Vault>,
}

impl Sealed {
    /// Those of the data folder `data`.
    pub(crate) fn new(data: &Path, vault: Vault) -> Self {
        Self { folder: data.join(FOLDER), vault: Arc::new(vault) }
    }
}

impl Logins for Sealed {
    fn of(&self, server: &str, url: &str) -> Arc<dyn Store> {
        Arc::new(One {
            file: file(&self.folder, server),
            // At another address, or under another name, it does not open.
            place: format!("login of joined server {server} at {url}"),
            name: server.to_owned(),
            vault: Arc::clone(&self.vault),
        })
    }
}

/// Forgets the log-in of a server that was left.
pub(crate) fn remove(data: &Path, server: &str) {
    forget(&file(&data.join(FOLDER), server));
}

fn file(folder: &Path, server: &str) -> PathBuf {
    // Names of servers are plain letters.
    folder.join(format!("{server}.login"))
}

fn forget(file: &Path) {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("`{}` stays: {error}", file.display());
        }
        _ => {}
    }
}

/// The log-in at one server.
struct One {
    file: PathBuf,
    place: String,
    name: String,
    vault: Arc<Vault>,
}

impl std::fmt::Debug for One {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("One").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Store for One {
    fn load(&self) -> Option<String> {
        let length = std::fs::metadata(&self.file).ok()?.len();
        let sealed = std::fs::read(&self.file).ok().filter(|_| length <= BYTES_MAX)?;
        match self.vault.open(&self.place, &sealed) {
            Ok(Some(plain)) => String::from_utf8(plain).ok(),
            Ok(None) => {
                let why = "it was sealed by another master key, or for another address";
                tracing::warn!("the log-in of joined server `{}` does not open: {why}", self.name);
                None
            }
            Err(fault) => {
                let why = fault.text();
                tracing::warn!("the log-in of joined server `{}` does not open: {why}", self.name);
                None
            }
        }
    }

    fn store(&self, text: Option<&str>) {
        let Some(text) = text else { return forget(&self.file) };
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let kept = self
            .vault
            .seal(&self.place, text.as_bytes())
            .map_err(|fault| anyhow::anyhow!("{}", fault.text()))
            .and_then(|sealed| {
                crate::data::private_folder(folder)?;
                crate::data::write_private(&self.file, &sealed)
            });
        if let Err(error) = kept {
            let name = &self.name;
            tracing::warn!("the log-in of joined server `{name}` is not kept: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(folder: &Path) -> Sealed {
        Sealed::new(folder, crate::vault::open(None, Some(folder)))
    }

    #[test]
    fn a_log_in_is_sealed_for_its_server_and_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let store = sealed(folder.path()).of("far", "https://a.example/mcp");
        assert_eq!(store.load(), None);
        assert!(!folder.path().join("vault.key").exists(), "looking makes no key");
        store.store(Some("t0ken"));
        let file = folder.path().join("mcp/far.login");
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"t0ken"));
        #[cfg(unix)]
        {
            let mode = std::fs::metadata(&file).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = sealed(folder.path());
        assert_eq!(again.of("far", "https://a.example/mcp").load().as_deref(), Some("t0ken"));
        assert_eq!(again.of("far", "https://evil.example/mcp").load(), None);
        remove(folder.path(), "far");
        remove(folder.path(), "far");
        assert!(!file.exists());
    }
}
