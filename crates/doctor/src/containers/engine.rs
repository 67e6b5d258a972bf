//! Asks a container engine (Docker, or Podman, which speaks the same API) over its UNIX socket.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::request::Environment;
use crate::sockets::redact;

/// Limit: containers that do not run and are looked at one by one, the newest first.
const ENDED_MAX: usize = 12;

/// Limit: lines of a container's log that are shown.
pub(crate) const LINES_MAX: usize = 8;

/// A container that has to do with a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// `docker` or `podman`.
    pub(crate) engine: &'static str,
    pub(crate) name: String,
    pub(crate) image: String,
    /// `running`, `exited`, `restarting`, `created`, `paused`, `dead`.
    pub(crate) state: String,
    /// The address and port of this machine, and the port inside; `None` without a publication.
    pub(crate) published: Option<(String, u16)>,
    pub(crate) exit_code: i64,
    pub(crate) was_killed_for_memory: bool,
    /// What the engine says about its start.
    pub(crate) error: String,
    pub(crate) health: String,
    pub(crate) restarts: u64,
    pub(crate) finished: String,
    /// The last lines that it wrote, without secrets.
    pub(crate) log: Vec<String>,
}

impl Found {
    pub(crate) fn is_running(&self) -> bool {
        self.state == "running"
    }

    /// What it is, and how it stands.
    pub(crate) fn line(&self) -> String {
        let Self { engine, name, image, state, .. } = self;
        let published = match &self.published {
            Some((place, inner)) => format!("it publishes {place} to its port {inner}"),
            None => "it publishes no port".to_owned(),
        };
        let mut line = format!("the {engine} container {name} ({image}) is {state}; {published}");
        if !self.is_running() {
            line.push_str(&format!("; its last exit code is {}", self.exit_code));
        }
        if self.was_killed_for_memory {
            line.push_str(", and it was killed for lack of memory");
        }
        if self.restarts > 0 {
            line.push_str(&format!("; it was restarted {} times", self.restarts));
        }
        if !self.health.is_empty() && self.health != "none" {
            line.push_str(&format!("; its health check says {}", self.health));
        }
        line
    }
}

/// Where engines listen: what the variables say, else the usual places below `root`.
pub(crate) fn sockets(root: &Path, environment: &Environment) -> Vec<(&'static str, PathBuf)> {
    for (name, engine) in [("docker_host", "docker"), ("container_host", "podman")] {
        if let Some((_, value)) = environment.variable(name) {
            // Another machine's engine knows nothing of this one's ports.
            let path = value.strip_prefix("unix://").map(PathBuf::from);
            return path.into_iter().map(|path| (engine, path)).collect();
        }
    }
    let usual = [("docker", "var/run/docker.sock"), ("podman", "run/podman/podman.sock")];
    let mut found: Vec<(&'static str, PathBuf)> =
        usual.iter().map(|(engine, path)| (*engine, root.join(path))).collect();
    if let Some((_, folder)) = environment.variable("xdg_runtime_dir") {
        found.push(("docker", Path::new(folder).join("docker.sock")));
        found.push(("podman", Path::new(folder).join("podman/podman.sock")));
    }
    if let Some((_, home)) = environment.variable("home") {
        let below = [".docker/run", ".colima/default", ".orbstack/run", ".rd"];
        found.extend(below.map(|path| ("docker", Path::new(home).join(path).join("docker.sock"))));
    }
    found.retain(|(_, path)| path.exists());
    found
}

/// The containers of one engine that publish `port`, or in which `id` (or a part of it) runs.
pub(crate) async fn containers(
    engine: &'static str,
    socket: &Path,
    port: u16,
    id: Option<&str>,
) -> Vec<Found> {
    let Some(list) = ask(socket, "/containers/json?all=1").await else { return Vec::new() };
    let list: Vec<Value> = serde_json::from_slice(&list).unwrap_or_default();
    let mut found = Vec::new();
    let mut ended = 0;
    for item in &list {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let ports = item.get("Ports").and_then(Value::as_array).cloned().unwrap_or_default();
        let number = |row: &Value, name: &str| row.get(name).and_then(Value::as_u64);
        let publishes = ports.iter().any(|row| number(row, "PublicPort") == Some(port.into()));
        let is_own = id.is_some_and(|id| text("Id").starts_with(id));
        let is_ended = text("State") != "running";
        ended += usize::from(is_ended);
        // What does not run shows its ports only when it is asked for.
        if !(publishes || is_own || is_ended && ended <= ENDED_MAX) {
            continue;
        }
        let path = format!("/containers/{}/json", text("Id"));
        let Some(whole) = ask(socket, &path).await else { continue };
        let Ok(whole) = serde_json::from_slice::<Value>(&whole) else { continue };
        let mut one = read(engine, &whole, port);
        if one.published.is_none() && !is_own {
            continue;
        }
        let lines =
            format!("/containers/{}/logs?stdout=1&stderr=1&tail={}", text("Id"), LINES_MAX * 2);
        one.log = lines_of(&ask(socket, &lines).await.unwrap_or_default());
        found.push(one);
    }
    found
}

fn read(engine: &'static str, whole: &Value, port: u16) -> Found {
    let text =
        |path: &str| whole.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let bindings = whole.pointer("/HostConfig/PortBindings").and_then(Value::as_object);
    let published = bindings.into_iter().flatten().find_map(|(inner, places)| {
        let inner = inner.split('/').next()?.parse().ok()?;
        places.as_array()?.iter().find_map(|place| {
            let own = place.get("HostPort")?.as_str()?;
            let address = place.get("HostIp").and_then(Value::as_str).unwrap_or_default();
            let address = if address.is_empty() { "0.0.0.0" } else { address };
            (own == port.to_string()).then(|| (format!("{address}:{own}"), inner))
        })
    });
    let is_true = |path: &str| whole.pointer(path).and_then(Value::as_bool) == Some(true);
    Found {
        engine,
        name: text("/Name").trim_start_matches('/').to_owned(),
        image: text("/Config/Image"),
        state: text("/State/Status"),
        published,
        exit_code: whole.pointer("/State/ExitCode").and_then(Value::as_i64).unwrap_or_default(),
        was_killed_for_memory: is_true("/State/OOMKilled"),
        error: redact::line(&text("/State/Error")),
        health: text("/State/Health/Status"),
        restarts: whole.pointer("/RestartCount").and_then(Value::as_u64).unwrap_or_default(),
        finished: text("/State/FinishedAt"),
        log: Vec::new(),
    }
}

/// The lines of a log: frames of `[stream, 0, 0, 0, length, length, length, length]` and bytes, or
/// plain text where the container has a terminal.
fn lines_of(bytes: &[u8]) -> Vec<String> {
    let mut text = Vec::new();
    let mut rest = bytes;
    while let [0..=2, 0, 0, 0, a, b, c, d, tail @ ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        let (frame, next) = tail.split_at(length.min(tail.len()));
        text.extend_from_slice(frame);
        rest = next;
    }
    text.extend_from_slice(rest);
    let text = String::from_utf8_lossy(&text).into_owned();
    let all = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut lines: Vec<String> = all.map(redact::line).collect();
    lines.drain(..lines.len().saturating_sub(LINES_MAX));
    lines
}

/// The body of the answer to a `GET`; `None` when there is no engine, or no such thing.
#[cfg(unix)]
async fn ask(socket: &Path, path: &str) -> Option<Vec<u8>> {
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use crate::probe::http::{Answer, End, Reply};

    /// Limit: one answer, which an engine gives at once.
    const PATIENCE: Duration = Duration::from_millis(900);
    /// Limit: bytes of one answer.
    const BYTES_MAX: u64 = 2 * 1024 * 1024;

    let exchange = async {
        let mut stream = tokio::net::UnixStream::connect(socket).await.ok()?;
        // HTTP/1.0: the answer ends with the connection, and has no chunks.
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        stream.take(BYTES_MAX).read_to_end(&mut bytes).await.ok()?;
        Some(bytes)
    };
    let bytes = tokio::time::timeout(PATIENCE, exchange).await.ok()??;
    let reply = Reply { bytes, end: End::Answered, stop: End::Answered, ..Reply::none() };
    let answer = Answer::read(&reply, path)?;
    (answer.status == 200).then_some(answer.raw)
}

/// Engines of other systems do not listen on UNIX sockets.
#[cfg(not(unix))]
async fn ask(_socket: &Path, _path: &str) -> Option<Vec<u8>> {
    std::future::ready(None).await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{LINES_MAX, lines_of, read, sockets};
    use crate::request::Environment;

    #[test]
    fn both_forms_of_a_log_are_read_and_secrets_are_left_out() {
        let frames = b"\x01\0\0\0\0\0\0\x06one\ntw\x02\0\0\0\0\0\0\x15o\npassword: hunter22\n";
        assert_eq!(lines_of(frames), ["one", "two", "password: [hidden]"]);
        assert_eq!(lines_of(b"plain\ntext\n"), ["plain", "text"]);
        assert_eq!(lines_of(b"\x01\0\0\0\xff\xff\xff\xffcut"), ["cut"]);
        assert_eq!(lines_of("x\n".repeat(99).as_bytes()).len(), LINES_MAX);
        assert!(lines_of(b"").is_empty());
    }

    #[test]
    fn the_state_of_a_container_is_read_as_far_as_it_is_told() {
        let whole = json!({
            "Name": "/web", "Config": {"Image": "app:1"}, "RestartCount": 3,
            "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": true},
            "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}}
        });
        let line = read("docker", &whole, 8080).line();
        assert_eq!(
            line,
            "the docker container web (app:1) is exited; it publishes 0.0.0.0:8080 to its port 80; \
             its last exit code is 137, and it was killed for lack of memory; it was restarted 3 \
             times"
        );
        assert_eq!(read("docker", &whole, 8081).published, None);
        assert_eq!(read("docker", &json!([]), 1).name, "");
    }

    #[test]
    fn an_engine_of_another_machine_is_not_asked() {
        let with = |value: &str| {
            Environment::from_variables([("DOCKER_HOST".to_owned(), value.to_owned())])
        };
        let root = Path::new("/nowhere");
        assert!(sockets(root, &with("tcp://10.0.0.9:2375")).is_empty());
        let own = sockets(root, &with("unix:///tmp/x.sock"));
        assert_eq!(own, [("docker", "/tmp/x.sock".into())]);
        assert!(sockets(root, &Environment::default()).is_empty());
    }
}
