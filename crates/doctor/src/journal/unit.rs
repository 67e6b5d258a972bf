//! The systemd unit of a server, by its control group or by the port in its file.

use std::path::Path;

use crate::sockets::names_number;
use crate::tail::head;

/// Limit: unit files that are read, and bytes of each.
const FILES_MAX: usize = 2000;
const BYTES_MAX: u64 = 64 * 1024;

/// Folders of units that people and packages write.
const FOLDERS: &[&str] = &["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// A unit that starts a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// `shop.service`.
    pub(crate) name: String,
    /// The program that it starts, without its folder.
    pub(crate) program: String,
}

/// The unit that starts a program with `port` in its command line.
pub(crate) fn of_port(root: &Path, port: u16) -> Option<Unit> {
    let number = port.to_string();
    let listed = FOLDERS.iter().filter_map(|folder| std::fs::read_dir(root.join(folder)).ok());
    let entries = listed.flat_map(|entries| entries.flatten()).take(FILES_MAX);
    entries.into_iter().find_map(|entry| {
        let name = entry.file_name().to_str()?.to_owned();
        if !name.ends_with(".service") || !is_plain(&name) {
            return None;
        }
        let text = head(&entry.path(), BYTES_MAX)?;
        let lines = || text.lines().map(str::trim);
        let tells = |line: &str| {
            (line.starts_with("ExecStart=") || line.starts_with("Environment="))
                && names_number(line, &number)
        };
        lines().any(tells).then_some(())?;
        let start = lines().find_map(|line| line.strip_prefix("ExecStart="))?;
        let first = start.trim_start_matches(['-', '@', ':', '+', '!']).split(' ').next()?;
        let program = first.rsplit('/').next()?.to_owned();
        Some(Unit { name, program })
    })
}

/// The unit in whose control group a process is.
pub(crate) fn of_process(root: &Path, pid: u32) -> Option<String> {
    let groups = head(&root.join(format!("proc/{pid}/cgroup")), BYTES_MAX)?;
    let parts = groups.lines().flat_map(|line| line.split('/'));
    // The innermost is that of the server; a user's manager is a unit as well.
    let mut units = parts.filter(|part| part.ends_with(".service") && is_plain(part));
    let found = units.next_back()?;
    (!found.starts_with("user@")).then(|| found.to_owned())
}

/// A name that can stand in a command as it is.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::{of_port, of_process};

    #[test]
    fn the_unit_of_a_port_is_found_by_its_file() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("lib/systemd/system/a.service", "[Service]\nExecStart=/bin/a --port 80801\n");
        assert_eq!(of_port(root.path(), 8080), None);
        write("etc/systemd/system/shop.service", "[Service]\nExecStart=-/opt/shop -p 8080\n");
        let found = of_port(root.path(), 8080).unwrap();
        assert_eq!((found.name.as_str(), found.program.as_str()), ("shop.service", "shop"));
    }

    #[test]
    fn the_unit_of_a_process_is_the_innermost_of_its_group() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("proc/7")).unwrap();
        let write = |text: &str| std::fs::write(root.path().join("proc/7/cgroup"), text).unwrap();
        write("0::/system.slice/shop.service\n");
        assert_eq!(of_process(root.path(), 7).unwrap(), "shop.service");
        write("0::/user.slice/user-1.slice/user@1.service/app.slice/x.scope\n");
        assert_eq!(of_process(root.path(), 7), None);
        write("0::/\n");
        assert_eq!(of_process(root.path(), 7), None);
    }
}
