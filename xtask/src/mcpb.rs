//! Packs the program as a bundle that Claude Desktop installs with a click (`.mcpb`).

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use serde_json::{Value, json};

use crate::say;

/// Where bundles are put.
const FOLDER: &str = "target/mcpb";
/// The program within the bundle.
const PROGRAM: &str = if cfg!(windows) { "server/rapport.exe" } else { "server/rapport" };
/// Mode bits of a program and of a text.
const EXECUTABLE: u32 = 0o100_755;
const PLAIN: u32 = 0o100_644;

/// The chore: `cargo xtask mcpb [--binary FILE]`.
///
/// # Errors
/// When there is no program to pack, or the bundle cannot be written.
pub(crate) fn run(root: &Path, words: &[String]) -> anyhow::Result<bool> {
    let binary = match words {
        [] => ["target/dist/rapport", "target/release/rapport"]
            .map(|path| root.join(path))
            .into_iter()
            .find(|path| path.is_file())
            .context("build the program first: cargo build --profile dist")?,
        [flag, path] if flag == "--binary" => root.join(path),
        _ => bail!("usage: cargo xtask mcpb [--binary FILE]"),
    };
    let bundle = make(root, &binary, Compression::best())?;
    let size = std::fs::metadata(&bundle)?.len();
    say::line(&format!("{} ({} KiB)", bundle.display(), size / 1024));
    Ok(true)
}

/// Packs this program; the bundle's path.
///
/// # Errors
/// When the program cannot be read, or the bundle cannot be written.
pub(crate) fn make(root: &Path, binary: &Path, level: Compression) -> anyhow::Result<PathBuf> {
    let program =
        std::fs::read(binary).with_context(|| format!("cannot read `{}`", binary.display()))?;
    let manifest = serde_json::to_string_pretty(&manifest())?;
    let licence = std::fs::read(root.join("LICENSE"))?;
    let mut zip = Zip::default();
    zip.add("manifest.json", (manifest.as_bytes(), PLAIN), level)?;
    zip.add("LICENSE", (&licence, PLAIN), level)?;
    zip.add(PROGRAM, (&program, EXECUTABLE), level)?;
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let (system, machine) = (platform(), std::env::consts::ARCH);
    let name = format!("rapport-{}-{system}-{machine}.mcpb", env!("CARGO_PKG_VERSION"));
    let path = folder.join(name);
    std::fs::write(&path, zip.end()?)?;
    Ok(path)
}

/// The system as the manifest names it.
fn platform() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    }
}

fn manifest() -> Value {
    let repository = env!("CARGO_PKG_REPOSITORY");
    json!({
        "manifest_version": "0.3",
        "name": "rapport",
        "display_name": "Rapport",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Conversations that every model and application on this machine can share",
        "long_description": "Rapport keeps conversations for any model on this machine. This \
            extension connects Claude to it: conversations are tools, resources and prompts, and \
            so are the servers that are joined to it. It starts the server when none runs.",
        "author": {"name": "The Rapport maintainers", "url": repository},
        "repository": {"type": "git", "url": repository},
        "homepage": repository,
        "license": env!("CARGO_PKG_LICENSE"),
        "keywords": ["memory", "conversations", "gateway", "local"],
        "server": {
            "type": "binary",
            "entry_point": PROGRAM,
            "mcp_config": {"command": format!("${{__dirname}}/{PROGRAM}"), "args": ["mcp"]},
        },
        "tools_generated": true,
        "prompts_generated": true,
        "compatibility": {"platforms": [platform()]},
    })
}

/// A ZIP archive in memory, as small as bundles need it: no folders, no dates, below 4 GiB.
#[derive(Debug, Default)]
struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

/// Unpacked by version 2.0, made on a system with mode bits.
const NEEDS: u16 = 20;
const MADE_BY: u16 = (3 << 8) | NEEDS;
const DEFLATED: u16 = 8;
/// The first day that the format knows: bundles of the same program are the same bytes.
const DATE: u16 = (1 << 5) | 1;

impl Zip {
    fn add(
        &mut self,
        name: &str,
        (content, mode): (&[u8], u32),
        level: Compression,
    ) -> anyhow::Result<()> {
        let mut crc = Crc::new();
        crc.update(content);
        let mut encoder = DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(content)?;
        let packed = encoder.finish()?;
        let place = u32::try_from(self.bytes.len())?;
        let mut head = Vec::new();
        for short in [NEEDS, 0, DEFLATED, 0, DATE] {
            head.extend(short.to_le_bytes());
        }
        for long in [crc.sum(), u32::try_from(packed.len())?, u32::try_from(content.len())?] {
            head.extend(long.to_le_bytes());
        }
        head.extend(u16::try_from(name.len())?.to_le_bytes());
        head.extend(0_u16.to_le_bytes());

        self.bytes.extend(b"PK\x03\x04");
        self.bytes.extend(&head);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(packed);

        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(MADE_BY.to_le_bytes());
        self.directory.extend(&head);
        for short in [0_u16; 3] {
            self.directory.extend(short.to_le_bytes());
        }
        self.directory.extend((mode << 16).to_le_bytes());
        self.directory.extend(place.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.count += 1;
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<Vec<u8>> {
        let place = u32::try_from(self.bytes.len())?;
        let size = u32::try_from(self.directory.len())?;
        self.bytes.append(&mut self.directory);
        self.bytes.extend(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend(self.count.to_le_bytes());
        self.bytes.extend(self.count.to_le_bytes());
        self.bytes.extend(size.to_le_bytes());
        self.bytes.extend(place.to_le_bytes());
        self.bytes.extend([0, 0]);
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_the_same_bytes_each_time_and_names_its_program() {
        let pack = || {
            let mut zip = Zip::default();
            zip.add("a.txt", (b"hello hello hello", PLAIN), Compression::best()).unwrap();
            zip.add("b/c", (b"", EXECUTABLE), Compression::best()).unwrap();
            zip.end().unwrap()
        };
        let bytes = pack();
        assert_eq!(bytes, pack());
        assert!(bytes.starts_with(b"PK\x03\x04") && bytes.len() > 22);
        let manifest = manifest();
        let command = manifest["server"]["mcp_config"]["command"].as_str().unwrap();
        let entry = manifest["server"]["entry_point"].as_str().unwrap();
        assert_eq!(command, format!("${{__dirname}}/{entry}"));
    }
}
