//! Where the log of a server is: files that were named, and the output of its process.

use std::path::PathBuf;

use crate::sockets::{Process, processes_naming};

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// What to open.
    pub(crate) path: PathBuf,
    /// What it is called.
    pub(crate) name: String,
}

impl Source {
    /// A file that was named.
    pub(crate) fn named(path: &std::path::Path) -> Self {
        Self { path: path.to_owned(), name: path.display().to_string() }
    }

    /// Its name; `from_end` says that lines are counted from its end.
    pub(crate) fn place(&self, from_end: bool) -> String {
        if from_end { format!("{} (counted from its end)", self.name) } else { self.name.clone() }
    }
}

/// The process that was told to listen on a port, on its command line.
pub(crate) fn expected(port: u16) -> Option<Process> {
    let naming = processes_naming(&port.to_string());
    naming.into_iter().find(|process| crate::check::was_started_for(&process.command, port))
}

/// The files to which a process writes its output and its errors; pipes and terminals are none.
#[cfg(target_os = "linux")]
pub(crate) fn outputs(process: &Process) -> Vec<Source> {
    let pid = process.pid;
    let mut found: Vec<Source> = Vec::new();
    for number in [2, 1] {
        let path = PathBuf::from(format!("/proc/{pid}/fd/{number}"));
        let is_file = std::fs::metadata(&path).is_ok_and(|file| file.is_file());
        let Some(link) = std::fs::read_link(&path).ok().filter(|_| is_file) else { continue };
        let name = format!("{} (output of PID {pid})", link.display());
        if !found.iter().any(|known| known.name == name) {
            // The link itself is opened: it works in other namespaces, and after a deletion.
            found.push(Source { path, name });
        }
    }
    found
}

/// The files to which a process writes its output are not known on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn outputs(_process: &Process) -> Vec<Source> {
    Vec::new()
}
