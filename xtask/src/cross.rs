//! The program compiles for the systems that this machine is not: a check of types, nothing is run.

use std::path::Path;

use crate::program::{command, find, output};
use crate::step::{self, Outcome};

/// A system: what Rust calls it, and a C compiler that is there when it is installed.
const TARGETS: &[(&str, &str)] = &[
    ("x86_64-pc-windows-gnu", "x86_64-w64-mingw32-gcc"),
    ("aarch64-apple-darwin", "aarch64-apple-darwin-cc"),
];

/// The step: passes over what is not installed, and says so.
pub(crate) fn as_step(root: &Path) -> anyhow::Result<Outcome> {
    let mut lines = Vec::new();
    for (target, compiler) in TARGETS {
        if let Some(missing) = missing(root, target, compiler)? {
            lines.push(format!("{target}: skipped, not installed: {missing}"));
            continue;
        }
        // A folder of its own: the artefacts of this machine stay as they are.
        let words = ["check", "--workspace", "--locked", "--target", target];
        let mut check = command(root, "cargo", &words);
        check.env("CARGO_TARGET_DIR", root.join("target/cross"));
        if target.ends_with("darwin") {
            check.env("CC_aarch64_apple_darwin", compiler).env("SDKROOT", "/");
            if find("aarch64-apple-darwin-ar").is_some() {
                check.env("AR_aarch64_apple_darwin", "aarch64-apple-darwin-ar");
            }
        }
        match step::outcome_of(check)? {
            Outcome::Passed(_) => lines.push(format!("{target}: compiles")),
            other => return Ok(other),
        }
    }
    Ok(Outcome::Passed(lines))
}

/// What a system's code cannot be checked without; none on that system itself.
fn missing(root: &Path, target: &str, compiler: &str) -> anyhow::Result<Option<String>> {
    let words = ["--print", "target-libdir", "--target", target];
    let folder = output(command(root, "rustc", &words))?;
    if !Path::new(folder.trim()).is_dir() {
        return Ok(Some(format!("rustup target add {target}")));
    }
    let is_own = (cfg!(windows) && target.contains("windows"))
        || (cfg!(target_os = "macos") && target.ends_with("darwin"));
    Ok((!is_own && find(compiler).is_none()).then(|| format!("a C compiler `{compiler}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_brings_it() {
        let root = crate::place::root().unwrap();
        let target = "wasm32-wasip1";
        let said = missing(&root, target, "no-such-compiler").unwrap().unwrap();
        assert!(
            said.contains("rustup target add") || said.contains("`no-such-compiler`"),
            "{said}"
        );
    }
}
