//! Other people's servers that are well: the doctor must find nothing wrong with any of them.
//!
//! A program that is not installed is skipped, and its name is printed.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use doctor::stdio;

use super::held::Held;
use super::servers::closed_port;
use super::{request, verbose};

/// Limit: how long a program may take to open its port on a loaded machine.
const START: Duration = Duration::from_secs(30);

/// A healthy target is looked at in less than this, when the machine is not loaded.
const FAST_MS: f64 = 3000.0;

/// Starts a program and waits until it accepts connections; `None` when it is not installed.
#[expect(clippy::disallowed_methods, reason = "the test waits in real time for a real program")]
pub(super) fn start(port: u16, program: &str, args: &[&str]) -> Option<Held> {
    let port_text = port.to_string();
    let args = args.iter().map(|word| word.replace("PORT", &port_text));
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        println!("skipped: `{program}` is not installed");
        return None;
    };
    let mut running = Held(child);
    let until = Instant::now() + START;
    while std::net::TcpStream::connect(("localhost", port)).is_err() {
        assert!(Instant::now() < until, "{program} opened no port");
        if running.0.try_wait().unwrap().is_some() {
            println!("skipped: `{program}` does not start here");
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    Some(running)
}

/// Demands health at `target` (with `PORT` in it), and words in the sentence.
async fn well(port: u16, target: &str, words: &str) {
    let target = target.replace("PORT", &port.to_string());
    let report = doctor::diagnose(&request(&target)).await;
    let text = verbose(&report);
    assert_eq!(report.verdict.id, "ok", "{text}");
    assert!(report.verdict.sentence.contains(words), "{text}");
    // Twice the promise: tests share their machine.
    assert!(report.duration_ms < 2.0 * FAST_MS, "{text}");
}

#[tokio::test]
async fn servers_of_files_are_well() {
    let folder = tempfile::tempdir().unwrap();
    // Some list a folder without an index, others have nothing to say at its root.
    for name in ["index.html", "page.html"] {
        std::fs::write(folder.path().join(name), "<p>hello</p>").unwrap();
    }
    let place = folder.path().display().to_string();
    let cases: [(&str, &[&str]); 5] = [
        ("python3", &["-m", "http.server", "PORT", "--bind", "127.0.0.1", "-d", &place]),
        ("php", &["-S", "127.0.0.1:PORT", "-t", &place]),
        ("ruby", &["-run", "-e", "httpd", &place, "-p", "PORT"]),
        ("busybox", &["httpd", "-f", "-p", "127.0.0.1:PORT", "-h", &place]),
        ("jwebserver", &["-p", "PORT", "-d", &place]),
    ];
    for (program, args) in cases {
        let port = closed_port();
        let Some(_running) = start(port, program, args) else { continue };
        for target in
            ["localhost:PORT", "http://localhost:PORT/", "http://localhost:PORT/page.html"]
        {
            well(port, target, "HTTP/1.1").await;
        }
    }
}

/// A server in JavaScript that answers by path.
const NODE: &str = r#"
const http = require('http');
http.createServer((q, a) => {
  if (q.url == '/events') {
    a.writeHead(200, {'Content-Type': 'text/event-stream'});
    return a.write('data: {"n":1}\n\n');
  }
  if (q.url == '/chunks') { a.write('[1,'); return a.end('2]'); }
  if (q.url == '/moved') { a.writeHead(302, {Location: '/v1/models'}); return a.end(); }
  if (q.url == '/mcp') {
    let text = '';
    q.on('data', part => text += part).on('end', () => {
      if (q.method != 'POST') { a.writeHead(405); return a.end(); }
      const m = JSON.parse(text);
      if (m.id === undefined) { a.writeHead(202); return a.end(); }
      const result = m.method == 'initialize'
        ? {protocolVersion: '2025-06-18', capabilities: {tools: {}},
           serverInfo: {name: 'node', version: '1'}}
        : {tools: [{name: 'add', inputSchema: {type: 'object'}}]};
      a.writeHead(200, {'Content-Type': 'text/event-stream'});
      a.end('event: message\ndata: ' + JSON.stringify({jsonrpc: '2.0', id: m.id, result}) + '\n\n');
    });
    return;
  }
  a.setHeader('Content-Type', 'application/json');
  if (q.url != '/v1/models') a.statusCode = 404;
  a.end('{"data":[]}');
}).listen(PORT, '127.0.0.1');
"#;

#[tokio::test]
async fn a_server_in_javascript_is_well_at_each_of_its_paths() {
    let port = closed_port();
    let text = NODE.replace("PORT", &port.to_string());
    let Some(_running) = start(port, "node", &["-e", &text]) else { return };
    for path in ["", "/v1/models", "/events", "/chunks", "/moved"] {
        well(port, &format!("http://localhost:PORT{path}"), "HTTP/1.1").await;
    }
    well(port, "http://localhost:PORT/mcp", "HTTP/1.1").await;
}

/// Servers in Python that speak no HTTP, or speak first.
const LINES: &str = r#"
import json, socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            try:
                said = json.loads(line)
                answer = json.dumps({'sessionId': said.get('sessionId'), 'response': 'x'})
            except Exception:
                answer = 'ERROR: Invalid JSON format'
            self.wfile.write((answer + '\n').encode())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 50
Server(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"#;

const BANNER: &str = r#"
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b'220 mail.example ESMTP\r\n')
        self.rfile.readline()
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
Server(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"#;

const SINGLE: &str = r#"
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'one at a time, HTTP/1.0')
    def log_message(self, *words):
        pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"#;

#[tokio::test]
async fn servers_in_python_are_well() {
    let cases = [
        (LINES, "tcp://localhost:PORT", "JSON lines"),
        (LINES, "localhost:PORT", "JSON lines"),
        (BANNER, "localhost:PORT", "SMTP"),
        (SINGLE, "http://127.0.0.1:PORT/x", "HTTP/1.1"),
    ];
    for (text, target, words) in cases {
        let port = closed_port();
        let Some(_running) = start(port, "python3", &["-c", text, "PORT"]) else { return };
        well(port, target, words).await;
    }
}

#[tokio::test]
async fn a_server_in_perl_is_well() {
    let port = closed_port();
    let text = "use IO::Socket; $s = IO::Socket::INET->new(Listen => 9, LocalAddr => '127.0.0.1', \
                LocalPort => PORT) or die; while ($c = $s->accept) { \
                while (<$c>) { last if /^\\r/ } \
                print $c \"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok\"; close $c }";
    let text = text.replace("PORT", &port.to_string());
    let Some(_running) = start(port, "perl", &["-e", &text]) else { return };
    well(port, "http://localhost:PORT/", "HTTP/1.1").await;
}

#[tokio::test]
async fn an_nginx_is_well_in_front_of_another_server_too() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    let (port, behind) = (closed_port(), super::servers::http("200 OK"));
    let upstream = behind.port;
    let config = format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/errors;\n\
         events {{}}\nhttp {{\n\
         access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p;\n\
         fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
         server {{ listen 127.0.0.1:{port}; location / {{ return 200 'ok'; }}\n\
         location /api/ {{ proxy_pass http://127.0.0.1:{upstream}/; }} }} }}\n"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let file = file.display().to_string();
    let args = ["-p", &place, "-c", &file, "-g", "user root;"];
    let Some(_running) = start(port, "nginx", &args) else { return };
    for target in ["localhost:PORT", "http://localhost:PORT/", "http://localhost:PORT/api/x"] {
        well(port, target, "HTTP/1.1").await;
    }
}

#[tokio::test]
async fn stores_are_well_on_their_own_ports() {
    let port = closed_port();
    let args = ["--port", "PORT", "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"];
    if let Some(_running) = start(port, "redis-server", &args) {
        well(port, "localhost:PORT", "Redis").await;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let made = as_user(folder.path(), "initdb", &["-D", &data, "-A", "trust", "--no-sync"]);
    if !made.is_some_and(|mut made| made.status().is_ok_and(|status| status.success())) {
        println!("skipped: `initdb` is not installed or does not work here");
        return;
    }
    let port = closed_port();
    let place = folder.path().display().to_string();
    let words = ["-D", &data, "-p", &port.to_string(), "-k", &place, "-c", "fsync=off"];
    let Some(mut command) = as_user(folder.path(), "postgres", &words) else { return };
    let _running = Held(command.spawn().unwrap());
    // It closes connections while it starts, and answers when it is ready.
    let mut report = doctor::diagnose(&request(&format!("localhost:{port}"))).await;
    for _ in 0..60 {
        if report.is_healthy() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        report = doctor::diagnose(&request(&format!("localhost:{port}"))).await;
    }
    assert!(report.verdict.sentence.contains("PostgreSQL"), "{}", verbose(&report));
}

/// A command as an ordinary user, since this store does not run as root.
fn as_user(folder: &Path, program: &str, args: &[&str]) -> Option<Command> {
    use std::os::unix::process::CommandExt as _;
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().ok()?;
    let path = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    if path.is_empty() {
        return None;
    }
    let mut command = Command::new(path);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if rustix::process::getuid().is_root() {
        const NOBODY: u32 = 65534;
        std::os::unix::fs::chown(folder, Some(NOBODY), None).ok()?;
        command.uid(NOBODY);
    }
    command.current_dir(folder);
    Some(command)
}

/// An MCP server over pipes, in Python.
const PIPES: &str = r#"
import json, sys
print('starting', file=sys.stderr)
for line in sys.stdin:
    said = json.loads(line)
    if 'id' not in said:
        continue
    if said['method'] == 'initialize':
        result = {'protocolVersion': said['params']['protocolVersion'],
                  'capabilities': {'tools': {}}, 'serverInfo': {'name': 'py', 'version': '2'}}
    else:
        result = {'tools': [{'name': 'add', 'inputSchema': {'type': 'object'}}]}
    print(json.dumps({'jsonrpc': '2.0', 'id': said['id'], 'result': result}), flush=True)
"#;

#[tokio::test]
async fn an_mcp_server_in_python_is_well_over_pipes() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(PIPES.as_bytes()).unwrap();
    let words = vec!["python3".to_owned(), file.path().display().to_string()];
    let deadline = Some(Duration::from_secs(20));
    let report =
        stdio::diagnose(&stdio::Command { words, deadline, ..stdio::Command::default() }).await;
    if report.verdict.id == "stdio.command_not_found" {
        println!("skipped: `python3` is not installed");
        return;
    }
    assert_eq!(report.verdict.id, "ok", "{}", verbose(&report));
    assert!(report.verdict.sentence.contains("`py 2`, 1 tools"), "{}", report.verdict.sentence);
}
