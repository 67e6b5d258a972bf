//! Where applications keep their files on each system: every base folder in one place.

use std::path::{Path, PathBuf};

use crate::config::Environment;

/// A system, as far as folders differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Linux,
    MacOs,
    Windows,
}

impl System {
    /// The one this program was built for.
    pub(super) const HERE: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(target_os = "macos") {
        Self::MacOs
    } else {
        Self::Linux
    };
}

/// A machine's folders, as the environment names them.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) system: System,
    env: Environment,
}

impl Machine {
    /// This machine.
    pub(super) fn here(env: &Environment) -> Self {
        Self { system: System::HERE, env: env.clone() }
    }

    #[cfg(test)]
    pub(super) fn of(system: System, values: &[(&str, &str)]) -> Self {
        Self { system, env: Environment::with(values) }
    }

    /// The home folder.
    pub(super) fn home(&self) -> Option<PathBuf> {
        let name = if self.system == System::Windows { "USERPROFILE" } else { "HOME" };
        self.named(name)
    }

    /// A folder that a variable names.
    pub(super) fn named(&self, variable: &str) -> Option<PathBuf> {
        self.env.get(variable).map(PathBuf::from)
    }

    /// `~/…`.
    pub(super) fn below_home(&self, path: &str) -> Vec<PathBuf> {
        self.home().map(|home| join(&home, path)).into_iter().collect()
    }

    /// Where desktop applications keep their configuration: `~/.config`, `Application Support`,
    /// `AppData\Roaming`.
    pub(super) fn roaming(&self) -> Option<PathBuf> {
        match self.system {
            System::Windows => {
                let home = || self.home().map(|home| join(&home, "AppData/Roaming"));
                self.named("APPDATA").or_else(home)
            }
            System::MacOs => self.home().map(|home| join(&home, "Library/Application Support")),
            System::Linux => {
                // The XDG specification has relative paths ignored.
                let set = self.named("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
                set.or_else(|| self.home().map(|home| join(&home, ".config")))
            }
        }
    }

    /// `AppData\Local`; nothing elsewhere.
    pub(super) fn local(&self) -> Option<PathBuf> {
        let home = || self.home().map(|home| join(&home, "AppData/Local"));
        match self.system {
            System::Windows => self.named("LOCALAPPDATA").or_else(home),
            System::Linux | System::MacOs => None,
        }
    }

    /// The private folders of an application from Microsoft's store.
    pub(super) fn packages(&self, prefix: &str) -> Vec<PathBuf> {
        let Some(all) = self.local().map(|local| local.join("Packages")) else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(all) else { return Vec::new() };
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        };
        let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(named).collect();
        found.sort();
        found
    }

    /// The full path of a program that stands in a folder of `PATH`.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let path = self.env.get("PATH")?;
        let names: &[&str] = if self.system == System::Windows { &[".exe", ".cmd"] } else { &[""] };
        std::env::split_paths(path)
            .filter(|folder| folder.is_absolute())
            .flat_map(|folder| names.iter().map(move |end| folder.join(format!("{name}{end}"))))
            .find(|file| file.is_file())
    }
}

/// Joins a path written with `/`.
pub(super) fn join(folder: &Path, path: &str) -> PathBuf {
    path.split('/').fold(folder.to_owned(), |folder, part| folder.join(part))
}
