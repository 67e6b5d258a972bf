//! The npm packages of the tests: installed where a lock file stands, again when it changes.

use std::path::Path;

use anyhow::Context as _;

use crate::program::{self, command};
use crate::step::{self, Outcome};
use crate::tree::Tree;

const LOCK: &str = "package-lock.json";
/// A copy of the lock file as it was when its packages were installed.
const STAMP: &str = "node_modules/installed-lock.json";

/// The tree has a folder with packages.
pub(super) fn applies(root: &Path) -> bool {
    Tree::read(root).is_ok_and(|tree| tree.files().any(|file| file.name() == LOCK))
}

/// The step: `npm ci` in every folder with a lock file.
pub(super) fn install(root: &Path) -> anyhow::Result<Outcome> {
    let missing: Vec<String> = ["node", "npm"]
        .into_iter()
        .filter(|name| program::find(name).is_none())
        .map(|name| format!("{name} (Debian packages nodejs and npm)"))
        .collect();
    if !missing.is_empty() {
        return Ok(Outcome::Missing(missing));
    }
    let tree = Tree::read(root)?;
    let mut closing = Vec::new();
    for lock in tree.files().filter(|file| file.name() == LOCK) {
        let folder = root.join(&lock.path).parent().map(Path::to_path_buf).unwrap_or_default();
        let stamp = folder.join(STAMP);
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock.text) {
            closing.push(format!("{}: everything is there", lock.path));
            continue;
        }
        let mut npm = command(&folder, "npm", &["ci", "--no-audit", "--no-fund", "--no-progress"]);
        // Tests drive the browser of the system; a second one is not fetched.
        npm.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
        let outcome = step::outcome_of(npm)?;
        if !matches!(outcome, Outcome::Passed(_)) {
            return Ok(outcome);
        }
        let kept = std::fs::create_dir_all(folder.join("node_modules"))
            .and_then(|()| std::fs::write(&stamp, &lock.text));
        kept.with_context(|| format!("`{}`", stamp.display()))?;
        closing.push(format!("{}: installed", lock.path));
    }
    Ok(Outcome::Passed(closing))
}
