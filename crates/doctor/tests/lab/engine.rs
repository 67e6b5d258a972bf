//! Containers that do not run, asked of an engine that speaks the documented API over its socket.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use doctor::{Environment, Request};
use serde_json::{Value, json};

use super::servers::{closed_port, http};
use super::{broken, fix, verbose, well};

/// An engine with one container; what it says can be changed.
struct Engine {
    folder: tempfile::TempDir,
    container: Arc<Mutex<Value>>,
    asked: Arc<Mutex<Vec<String>>>,
}

const LOG: &[u8] = b"\x01\0\0\0\0\0\0\x0cstarting up\n\
                     \x02\0\0\0\0\0\0\x2aPOSTGRES_PASSWORD=hunter22 has been wrong\n";

impl Engine {
    fn new(container: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("engine.sock")).unwrap();
        let container = Arc::new(Mutex::new(container));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (held, seen) = (Arc::clone(&container), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                let mut bytes = [0; 4096];
                let length = std::io::Read::read(&mut stream, &mut bytes).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let line = text.lines().next().unwrap_or_default().to_owned();
                let body = answer(&line, &held.lock().unwrap());
                seen.lock().unwrap().push(line);
                let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
                drop(stream.write_all(format!("HTTP/1.0 {status}\r\n\r\n").as_bytes()));
                drop(stream.write_all(&body));
            }
        });
        Self { folder, container, asked }
    }

    fn request(&self, port: u16) -> Request {
        let place = format!("unix://{}", self.folder.path().join("engine.sock").display());
        Request {
            target: Some(format!("http://localhost:{port}/")),
            environment: Environment::from_variables([("DOCKER_HOST".to_owned(), place)]),
            ..Request::default()
        }
    }
}

fn answer(line: &str, whole: &Value) -> Vec<u8> {
    let state = &whole["State"]["Status"];
    let list = json!([{"Id": "0123456789abcdef", "State": state, "Ports": whole["Ports"]}]);
    if line.starts_with("GET /containers/json?all=1 ") {
        list.to_string().into_bytes()
    } else if line.starts_with("GET /containers/0123456789abcdef/json ") {
        whole.to_string().into_bytes()
    } else if line.starts_with("GET /containers/0123456789abcdef/logs?stdout=1&stderr=1&tail=") {
        LOG.to_vec()
    } else {
        Vec::new()
    }
}

fn container(port: u16, state: &Value) -> Value {
    json!({
        "Name": "/shop", "Config": {"Image": "shop:1"}, "State": state, "RestartCount": 0,
        "Ports": [],
        "HostConfig": {"PortBindings":
            {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": port.to_string()}]}}
    })
}

#[tokio::test]
async fn a_container_that_ended_is_named_with_its_exit_and_its_last_words() {
    let port = closed_port();
    let ended = json!({"Status": "exited", "ExitCode": 137, "OOMKilled": true});
    let engine = Engine::new(container(port, &ended));
    let report =
        broken(&engine.request(port), "container.stopped", "shop (shop:1) is exited").await;
    fix(&report, "docker start shop");
    fix(&report, "docker logs --tail 50 shop");
    let text = verbose(&report);
    for part in [
        &format!("publishes 127.0.0.1:{port} to its port 8000"),
        "exit code is 137, and it was killed for lack of memory",
        "its log: starting up",
        "its log: POSTGRES_PASSWORD=[hidden] has been wrong",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    assert!(!text.contains("hunter22"), "{text}");
    // Nothing is changed in the engine.
    assert!(engine.asked.lock().unwrap().iter().all(|line| line.starts_with("GET ")));
    let paused = json!({"Status": "paused"});
    *engine.container.lock().unwrap() = container(port, &paused);
    let report = broken(&engine.request(port), "container.stopped", "is paused").await;
    fix(&report, "docker unpause shop");
}

#[tokio::test]
async fn other_containers_and_healthy_servers_have_nothing_to_do_with_it() {
    let port = closed_port();
    let ended = json!({"Status": "exited", "ExitCode": 1});
    let engine = Engine::new(container(port.wrapping_add(1).max(2), &ended));
    let report = broken(&engine.request(port), "listen.none", "nothing listens").await;
    assert!(!verbose(&report).contains("shop"), "{}", verbose(&report));
    let server = http("200 OK");
    let before = engine.asked.lock().unwrap().len();
    well(&engine.request(server.port)).await;
    assert_eq!(engine.asked.lock().unwrap().len(), before, "a healthy server asks no engine");
}
