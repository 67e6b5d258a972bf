//! What joined servers need of the process: a place for their lists, a guard for their programs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use context::Vault;
use gateway::joined::{Home, Keeper, Logins, Shelf};
use mcp::client::Guard;

use crate::logins::Sealed;

/// The folder of lists below the data folder.
const FOLDER: &str = "mcp";
/// Limit: one list.
const LIST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What joined servers need. Without a place on disk nothing is kept.
pub(super) fn home(data: Option<&Path>, vault: Vault, keeper: Arc<dyn Keeper>) -> Home {
    let logins = data.map(|data| Arc::new(Sealed::new(data, vault)) as Arc<dyn Logins>);
    let shelf = data.map(|data| Arc::new(Lists(data.join(FOLDER))) as Arc<dyn Shelf>);
    let program = std::env::current_exe();
    let guard = program.ok().filter(|_| cfg!(unix)).map(|program| {
        // The same program, so that it is there whatever else is not.
        Arc::new(Guard::new(program, vec!["mcp".to_owned(), "guard".to_owned()]))
    });
    Home { shelf, guard, keeper: Some(keeper), logins }
}

/// One file for each server.
#[derive(Debug)]
struct Lists(PathBuf);

impl Lists {
    fn path(&self, name: &str) -> PathBuf {
        // Names of servers are plain letters.
        self.0.join(format!("{name}.json"))
    }
}

impl Shelf for Lists {
    fn load(&self, name: &str) -> Option<String> {
        let path = self.path(name);
        let length = std::fs::metadata(&path).ok()?.len();
        if length > LIST_BYTES_MAX {
            return None;
        }
        std::fs::read_to_string(path).ok()
    }

    fn store(&self, name: &str, text: &str) {
        let kept = crate::data::private_folder(&self.0)
            .and_then(|()| crate::data::write_private(&self.path(name), text.as_bytes()));
        if let Err(error) = kept {
            tracing::warn!("the list of joined server `{name}` is not kept: {error:#}");
        }
    }
}
