//! Containers, seen from outside and from inside: which one a process is in, and what is published.

pub(crate) mod engine;
pub(crate) mod kube;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::sockets::arguments;

/// The container a process runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    /// `docker`, `podman` or `kubernetes`.
    pub(crate) engine: &'static str,
    /// The first twelve digits of its id.
    pub(crate) id: String,
    /// Its name, when the engine's files may be read.
    pub(crate) name: Option<String>,
}

impl Container {
    /// "the docker container web (0123456789ab)".
    pub(crate) fn line(&self) -> String {
        match &self.name {
            Some(name) => format!("the {} container {name} ({})", self.engine, self.id),
            None => format!("the {} container {}", self.engine, self.id),
        }
    }

    /// How the engine lists a container's published ports.
    pub(crate) fn ports_command(&self) -> String {
        let name = self.name.as_ref().unwrap_or(&self.id);
        match self.engine {
            "kubernetes" => "kubectl get pods -A -o wide".to_owned(),
            engine => format!("{engine} port {name}"),
        }
    }
}

/// The container of a process, by its control groups and the engine's files below `root`.
pub(crate) fn of_process(root: &Path, pid: u32) -> Option<Container> {
    let groups = std::fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).ok()?;
    let (engine, id) = groups.lines().find_map(engine_and_id)?;
    let file = root.join(format!("var/lib/docker/containers/{id}/config.v2.json"));
    let config = std::fs::read(file).ok();
    let config = config.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    let name = config
        .and_then(|config| Some(config.get("Name")?.as_str()?.trim_start_matches('/').to_owned()));
    let id = id.chars().take(12).collect();
    Some(Container { engine, id, name })
}

/// `…/docker-ID.scope`, `/docker/ID`, `libpod-ID.scope`, `kubepods…/cri-containerd-ID.scope`.
fn engine_and_id(line: &str) -> Option<(&'static str, &str)> {
    let path = line.splitn(3, ':').nth(2)?;
    let id = path
        .split(['/', '-', '.'])
        .find(|part| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let engine = if path.contains("kubepods") {
        "kubernetes"
    } else if path.contains("libpod") {
        "podman"
    } else {
        "docker"
    };
    Some((engine, id))
}

/// Whether this program itself runs in a container, and how that shows.
pub(crate) fn inside(root: &Path) -> Option<String> {
    for mark in ["/.dockerenv", "/run/.containerenv"] {
        if root.join(mark.trim_start_matches('/')).exists() {
            return Some(format!("the file {mark} exists"));
        }
    }
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    let found = root.join(account.trim_start_matches('/')).exists();
    found.then(|| format!("the folder {account} exists"))
}

/// Where a published port leads, when a relay of a container engine holds it.
pub(crate) fn behind_relay(pid: u32) -> Option<SocketAddr> {
    target(&arguments(pid))
}

/// `docker-proxy -container-ip 172.17.0.2 -container-port 80`.
fn target(arguments: &[String]) -> Option<SocketAddr> {
    let program = arguments.first()?;
    program.ends_with("docker-proxy").then_some(())?;
    let after = |flag: &str| {
        let at = arguments.iter().position(|word| word == flag)?;
        arguments.get(at + 1)
    };
    let address: IpAddr = after("-container-ip")?.parse().ok()?;
    Some(SocketAddr::new(address, after("-container-port")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{inside, of_process, target};

    #[test]
    fn the_container_of_a_process_is_told_by_its_control_group() {
        let root = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef".repeat(4);
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/7/cgroup", &format!("0::/system.slice/docker-{id}.scope\n"));
        assert_eq!(of_process(root.path(), 7).unwrap().line(), "the docker container 0123456789ab");
        let config = format!("var/lib/docker/containers/{id}/config.v2.json");
        write(&config, "{\"Name\":\"/web\",\"State\":{}}");
        let found = of_process(root.path(), 7).unwrap();
        assert_eq!(found.line(), "the docker container web (0123456789ab)");
        assert_eq!(found.ports_command(), "docker port web");
        write(
            "proc/8/cgroup",
            &format!("4:memory:/x\n1:name=systemd:/machine/libpod-{id}.scope\n"),
        );
        assert_eq!(of_process(root.path(), 8).unwrap().engine, "podman");
        write("proc/9/cgroup", &format!("0::/kubepods/pod1/cri-containerd-{id}.scope\n"));
        assert_eq!(of_process(root.path(), 9).unwrap().engine, "kubernetes");
        write("proc/1/cgroup", "0::/init.scope\n");
        assert_eq!(of_process(root.path(), 1), None);
        assert_eq!(inside(root.path()), None);
        write(".dockerenv", "");
        assert!(inside(root.path()).unwrap().contains("/.dockerenv"));
    }

    #[test]
    fn the_place_behind_a_published_port_is_in_the_command_line_of_its_relay() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let line = "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 \
                    -container-ip 172.17.0.2 -container-port 80";
        assert_eq!(target(&words(line)), "172.17.0.2:80".parse().ok());
        assert_eq!(target(&words("nginx -container-ip 172.17.0.2 -container-port 80")), None);
        assert_eq!(target(&words("docker-proxy -container-ip x")), None);
    }
}
