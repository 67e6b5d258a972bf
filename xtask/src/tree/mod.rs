//! The files of the tree as the rules see them: read once, in memory, with paths from the root.

mod manifest;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use anyhow::Context as _;

pub(crate) use manifest::Manifest;

/// Folders that hold nothing of ours: built, fetched or installed.
const SKIPPED_FOLDERS: [&str; 5] = [".git", "target", "node_modules", ".venv", "__pycache__"];
/// Folders whose files are kept as they came; the rules do not read them.
const FOREIGN_FOLDER: &str = "/vendor/";
/// What the rules read; everything else is known by its path only.
const TEXT_EXTENSIONS: [&str; 18] = [
    "rs", "toml", "md", "py", "js", "mjs", "cjs", "ts", "css", "html", "sh", "json", "http", "yml",
    "yaml", "txt", "sql", "lock",
];
/// Limit: a larger file is data, and no rule is about it.
const TEXT_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// One text file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// From the root, with `/` between the parts.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

/// All files of the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    files: Vec<File>,
    paths: BTreeSet<String>,
}

/// One thing that breaks a rule, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    path: String,
    line: usize,
    what: String,
    mend: String,
}

impl Problem {
    /// A problem on a line (counted from 1) of a file.
    pub(crate) fn new(
        path: &str,
        line: usize,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), mend: mend.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path, self.line, self.what, self.mend)
    }
}

impl File {
    /// The lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The lines that are code: no comment lines, and nothing from a module of tests on.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut for_tests = false;
        self.lines()
            .take_while(move |(_, line)| {
                let module_of_tests = for_tests && line.starts_with("mod ") && line.contains('{');
                for_tests = line.trim() == "#[cfg(test)]";
                !module_of_tests
            })
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// What follows the last point of the name.
    pub(crate) fn extension(&self) -> &str {
        let name = self.name();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }

    /// The name without its extension.
    pub(crate) fn stem(&self) -> &str {
        self.name().split_once('.').map_or(self.name(), |(stem, _)| stem)
    }

    /// Whether the file holds tests and nothing else.
    pub(crate) fn is_test(&self) -> bool {
        self.name() == "tests.rs" || self.path.split('/').any(|part| part == "tests")
    }

    /// The first line that holds the text; 1 when none does.
    pub(crate) fn line_of(&self, text: &str) -> usize {
        self.lines().find(|(_, line)| line.contains(text)).map_or(1, |(number, _)| number)
    }
}

impl Tree {
    /// Reads the tree under `root`.
    ///
    /// # Errors
    /// When a folder or a file cannot be read.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.walk(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// A tree that was made up, for a rule's own test.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add(path);
            tree.files.push(File { path: (*path).to_owned(), text: (*text).to_owned() });
        }
        tree
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        let listing = std::fs::read_dir(folder)
            .with_context(|| format!("`{}` cannot be read", folder.display()))?;
        for entry in listing {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                if !SKIPPED_FOLDERS.contains(&name.as_str()) && !name.ends_with(".egg-info") {
                    self.walk(&entry.path(), &path)?;
                }
            } else if kind.is_file() {
                self.add(&path);
                if is_text(&path) && entry.metadata()?.len() <= TEXT_BYTES_MAX {
                    // A file may vanish while an editor swaps it; the next run sees the new one.
                    let Ok(bytes) = std::fs::read(entry.path()) else { continue };
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.files.push(File { path, text });
                }
            }
        }
        Ok(())
    }

    /// Notes the path and every folder above it.
    fn add(&mut self, path: &str) {
        let mut path = path;
        self.paths.insert(path.to_owned());
        while let Some((folder, _)) = path.rsplit_once('/') {
            self.paths.insert(folder.to_owned());
            path = folder;
        }
    }

    /// Every text file of ours.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.iter()
    }

    /// Every text file with one of these extensions.
    pub(crate) fn with_extension(&self, extensions: &[&str]) -> impl Iterator<Item = &File> {
        self.files().filter(move |file| extensions.contains(&file.extension()))
    }

    /// Every text file under a folder.
    pub(crate) fn under(&self, folder: &str) -> impl Iterator<Item = &File> {
        self.files().filter(move |file| {
            file.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// The text file at a path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files().find(|file| file.path == path)
    }

    /// Whether a file or a folder stands at the path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// The names in a folder, files and folders, without what is below them.
    pub(crate) fn names_in(&self, folder: &str) -> impl Iterator<Item = &str> {
        self.paths
            .iter()
            .filter_map(move |path| path.strip_prefix(folder)?.strip_prefix('/'))
            .filter(|name| !name.contains('/'))
    }

    /// The manifests of the crates; a broken one is a problem of Cargo's, not ours.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = Manifest<'_>> {
        // Fuzz targets are packages of their own, outside the workspace, for a nightly toolchain.
        self.files()
            .filter(|file| file.name() == "Cargo.toml" && !file.path.contains("/fuzz/"))
            .filter_map(Manifest::read)
    }
}

fn is_text(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    let known = match name.rsplit_once('.') {
        Some((_, extension)) => TEXT_EXTENSIONS.contains(&extension),
        None => true,
    };
    known && !path.contains(FOREIGN_FOLDER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_known_by_the_files_in_them() {
        let tree = Tree::of(&[("crates/wire/src/lib.rs", ""), ("crates/wire/Cargo.toml", "")]);
        assert!(tree.has("crates/wire/src") && tree.has("crates") && !tree.has("crates/w"));
        assert_eq!(tree.names_in("crates/wire").collect::<Vec<_>>(), ["Cargo.toml", "src"]);
        assert_eq!(tree.under("crates/wire/src").count(), 1);
    }

    #[test]
    fn code_ends_where_its_tests_begin() {
        let text = "//! One.\n#[cfg(test)]\nmod tests;\nfn a() {}\n#[cfg(test)]\nmod tests {\nb";
        let file = File { path: "a.rs".into(), text: text.into() };
        assert_eq!(file.code_lines().map(|(number, _)| number).collect::<Vec<_>>(), [2, 3, 4, 5]);
    }

    #[test]
    fn what_others_wrote_is_not_read() {
        assert!(is_text("console/app.js") && is_text("LICENSE") && is_text(".ci/run"));
        assert!(!is_text("console/vendor/preact.js") && !is_text("docs/view.png"));
    }

    #[test]
    fn a_problem_says_where_what_and_how_to_mend_it() {
        let problem = Problem::new("a.rs", 7, "too wide", "break it");
        assert_eq!(problem.to_string(), "a.rs:7: too wide: break it");
    }
}
