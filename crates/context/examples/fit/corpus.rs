//! Messages to count: the files of a checkout cut into pieces, logs that are made up, and sentences
//! in other languages.

use std::io::Result;
use std::path::{Path, PathBuf};

/// Limit: messages of one kind, so that none drowns the others.
const OF_ONE_KIND: usize = 600;
/// Limit: bytes of one file that are read.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// The lengths of messages, in lines, turn about.
const LINES: &[usize] = &[3, 12, 1, 30, 6, 2, 18];
/// Sentences in other languages, one paragraph a language.
const LANGUAGES: &str = include_str!("languages.txt");
/// What is read, by the ending of its name.
const KINDS: &[(&str, &str)] = &[
    ("md", "prose"),
    ("rs", "rust"),
    ("py", "python"),
    ("js", "script"),
    ("mjs", "script"),
    ("json", "json"),
    ("toml", "settings"),
    ("yaml", "settings"),
];

/// All messages with their kinds.
pub(crate) fn read(folder: &Path) -> Result<Vec<(&'static str, String)>> {
    let mut files = Vec::new();
    walk(folder, &mut files)?;
    files.sort();
    let mut out = Vec::new();
    for (ending, kind) in KINDS {
        let all = files.iter().filter(|path| path.extension().is_some_and(|held| held == *ending));
        let mut pieces = Vec::new();
        for path in all {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let end = text.floor_char_boundary(FILE_BYTES_MAX);
            pieces.extend(cut(text.get(..end).unwrap_or_default()));
        }
        let step = (pieces.len() / OF_ONE_KIND).max(1);
        out.extend(pieces.into_iter().step_by(step).take(OF_ONE_KIND).map(|text| (*kind, text)));
    }
    out.extend(logs().into_iter().map(|text| ("log", text)));
    out.extend(languages());
    Ok(out)
}

fn walk(folder: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.') || name == "target";
        if entry.file_type()?.is_dir() && !hidden {
            walk(&entry.path(), out)?;
        } else if entry.file_type()?.is_file() {
            out.push(entry.path());
        }
    }
    Ok(())
}

fn cut(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut lengths = LINES.iter().cycle();
    let mut rest = lines.as_slice();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.len().min(*lengths.next().unwrap_or(&8)));
        out.push(piece.join("\n"));
        rest = more;
    }
    out.retain(|piece| piece.trim().len() > 8);
    out
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides.max(1)
    }
}

fn logs() -> Vec<String> {
    let mut dice = Dice(7);
    let mut out = Vec::new();
    for n in 0..OF_ONE_KIND / 2 {
        let mut lines = Vec::new();
        for _ in 0..=dice.roll(8) {
            let (hour, minute, milli) = (dice.roll(24), dice.roll(60), dice.roll(1000));
            let (a, b, ms) = (dice.roll(256), dice.roll(256), dice.roll(9000));
            let id = format!("{:08x}{:08x}", dice.roll(u64::from(u32::MAX)), dice.roll(1 << 31));
            let time = format!("{hour:02}:{minute:02}:07.{milli:03}");
            lines.push(match n % 3 {
                0 => format!(
                    "2026-11-21T{time}Z  INFO http: request_id={id} method=POST path=/v1/messages \
                     status=200 ms={ms}"
                ),
                1 => format!(
                    "10.1.{a}.{b} - - [21/Nov/2026:{time} +0000] \"GET /api/items/{ms} HTTP/1.1\" \
                     200 {milli}"
                ),
                _ => format!(
                    "[{time}] worker-{a}: retry {b} of task {id} after {ms} ms: connection reset \
                     by peer"
                ),
            });
        }
        out.push(lines.join("\n"));
    }
    out
}

/// Each language's sentences, alone, two and three together.
fn languages() -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for paragraph in LANGUAGES.split("\n\n") {
        let lines: Vec<&str> = paragraph.lines().filter(|line| !line.is_empty()).collect();
        let kind =
            if paragraph.chars().any(|c| c as u32 > 0x2E7F) { "ideographs" } else { "letters" };
        for size in 1..=3 {
            out.extend(lines.windows(size).map(|some| (kind, some.join(" "))));
        }
    }
    out
}
