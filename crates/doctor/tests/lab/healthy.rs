//! At least twenty different servers that are well, all at the same time: no false alarm in any.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use doctor::{Environment, Report, Request, diagnose, files, stdio};
use futures_util::future::{BoxFuture, join_all};

use super::held::Held;
use super::servers::{self, closed_port};
use super::{request, verbose};

/// So many different set-ups must have been started and found to be well.
const SETUPS_MIN: usize = 20;

/// Limit: how long a program may take to open its port on a loaded machine.
const START: Duration = Duration::from_secs(60);

/// A program that is started; `PORT` and `DIR` stand for a free port and a folder of its own.
struct Setup {
    name: &'static str,
    words: &'static [&'static str],
    /// What is diagnosed, and a piece of the sentence.
    target: &'static str,
    says: &'static str,
}

const fn setup(
    name: &'static str,
    words: &'static [&'static str],
    target: &'static str,
    says: &'static str,
) -> Setup {
    Setup { name, words, target, says }
}

const THREADS: &str = "import http.server as h, sys\n\
    class H(h.SimpleHTTPRequestHandler):\n  protocol_version = 'HTTP/1.1'\n\
    h.ThreadingHTTPServer(('127.0.0.1', PORT), H).serve_forever()";

const SIX: &str = "import http.server as h, socket\n\
    class S(h.ThreadingHTTPServer):\n  address_family = socket.AF_INET6\n\
    S(('::1', PORT), h.SimpleHTTPRequestHandler).serve_forever()";

const ASYNC: &str = "import asyncio\n\
    async def one(r, w):\n  await r.readuntil(b'\\r\\n\\r\\n')\n  \
    w.write(b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n\
    Content-Length: 11\\r\\n\\r\\n{\"ok\":true}')\n  await w.drain()\n  w.close()\n\
    async def main():\n  s = await asyncio.start_server(one, '127.0.0.1', PORT)\n  \
    await s.serve_forever()\nasyncio.run(main())";

const WSGI: &str = "from wsgiref.simple_server import make_server\n\
    def app(e, start):\n  start('200 OK', [('Content-Type', 'text/plain')])\n  return [b'hi']\n\
    make_server('127.0.0.1', PORT, app).serve_forever()";

const FLASK: &str = "from flask import Flask\napp = Flask('lab')\n\
    @app.get('/')\ndef root():\n  return {'ok': True}\napp.run(port=PORT)";

const RPC: &str = "from xmlrpc.server import SimpleXMLRPCServer as S\n\
    S(('127.0.0.1', PORT)).serve_forever()";

const RUBY: &str = "require 'socket'; s = TCPServer.new('127.0.0.1', PORT); loop { \
    Thread.new(s.accept) { |c| while (l = c.gets) && l != \"\\r\\n\"; end; \
    c.write \"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok\"; c.close } }";

const JAVA: &str = "import com.sun.net.httpserver.*; import java.net.*;\n\
    public class Lab { public static void main(String[] a) throws Exception {\n\
    HttpServer s = HttpServer.create(new InetSocketAddress(\"127.0.0.1\", PORT), 0);\n\
    s.createContext(\"/\", x -> { byte[] b = \"hi\".getBytes(); x.sendResponseHeaders(200, 2); \
    x.getResponseBody().write(b); x.close(); }); s.start(); } }";

const NODE: &str = "require('http').createServer((q, a) => { a.setHeader('Content-Type', \
    'application/json'); a.end('{\"data\":[]}') }).listen(PORT, '127.0.0.1')";

const HTTP2: &str =
    "require('http2').createServer((q, a) => a.end('hi')).listen(PORT, 'localhost')";

const EVENTS: &str = "require('http').createServer((q, a) => { a.writeHead(200, {'Content-Type': \
    'text/event-stream'}); let n = 0; const t = setInterval(() => a.write('data: ' + n++ + \
    '\\n\\n'), 200); q.on('close', () => clearInterval(t)) }).listen(PORT, '127.0.0.1')";

const SOCKETS: &str = "const c = require('crypto'); const s = require('http').createServer((q, a) \
    => { a.statusCode = 426; a.setHeader('Upgrade', 'websocket'); a.end() }); \
    s.on('upgrade', (q, k) => { const h = c.createHash('sha1').update(\
    q.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64'); \
    k.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\n' + \
    'Connection: Upgrade\\r\\n' + 'Sec-WebSocket-Accept: ' + h + '\\r\\n\\r\\n'); \
    k.on('error', () => 0) }); \
    s.listen(PORT, '127.0.0.1')";

const LINES: &str = "require('net').createServer(c => { c.on('error', () => 0); let t = ''; \
    c.on('data', d => { t += d; let i; while ((i = t.indexOf('\\n')) >= 0) { const l = \
    t.slice(0, i); t = t.slice(i + 1); try { \
    const m = JSON.parse(l); c.write(JSON.stringify({sessionId: \
    m.sessionId, response: 'x'}) + '\\n') } catch { c.write(\
    'ERROR: Invalid JSON format\\n') } } }) }).listen(PORT, '127.0.0.1')";

const MCP: &str = "require('http').createServer((q, a) => { let t = ''; q.on('data', p => t += p)\
    .on('end', () => { if (q.method == 'DELETE') return a.end(); if (q.method != 'POST') { \
    a.writeHead(405); return a.end() } const m = JSON.parse(t); if (m.id === undefined) { \
    a.writeHead(202); return a.end() } const result = m.method == 'initialize' ? {protocolVersion: \
    '2025-11-25', capabilities: {tools: {}}, serverInfo: {name: 'node', version: '1'}} : {tools: \
    [{name: 'add', inputSchema: {type: 'object'}}]}; a.writeHead(200, {'Content-Type': \
    'application/json', 'Mcp-Session-Id': 's'}); a.end(JSON.stringify({jsonrpc: '2.0', id: m.id, \
    result})) }) }).listen(PORT, '127.0.0.1')";

const MODEL: &str = "require('http').createServer((q, a) => { a.setHeader('Content-Type', \
    'application/json'); if (q.url == '/v1/models') return a.end('{\"object\":\"list\",\"data\":\
    [{\"id\":\"m\",\"object\":\"model\"}]}'); a.statusCode = 404; a.end('{\"error\":{\"message\":\
    \"not found\"}}') }).listen(PORT, '127.0.0.1')";

const PERL: &str = "use IO::Socket; $s = IO::Socket::INET->new(Listen => 9, LocalAddr => \
    '127.0.0.1', LocalPort => PORT) or die; while ($c = $s->accept) { while (<$c>) { last if \
    /^\\r/ } print $c \"HTTP/1.1 204 No Content\\r\\n\\r\\n\"; close $c }";

const NGINX: &str = "daemon off; master_process off; pid DIR/pid; events {} http { access_log off; \
    client_body_temp_path DIR/b; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f; \
    uwsgi_temp_path DIR/u; scgi_temp_path DIR/s; server { listen 127.0.0.1:PORT; \
    location / { return 200 ok; } } }";

const HTTP: &str = "http://localhost:PORT/";
const OVER: &str = "HTTP/1.1";

/// One row for each; programs that are not installed are left out and named.
const SETUPS: &[Setup] = &[
    setup("python http.server", &["python3", "-m", "http.server", "PORT"], "PORT", OVER),
    setup("python threads", &["python3", "-c", THREADS], HTTP, OVER),
    setup("python on ::1", &["python3", "-c", SIX], "http://[::1]:PORT/", OVER),
    setup("python asyncio", &["python3", "-c", ASYNC], HTTP, OVER),
    setup("python wsgi", &["python3", "-c", WSGI], HTTP, OVER),
    setup("flask", &["python3", "-c", FLASK], HTTP, OVER),
    setup("python xmlrpc", &["python3", "-c", RPC], "localhost:PORT", OVER),
    setup("ruby", &["ruby", "-e", RUBY], HTTP, OVER),
    setup("perl", &["perl", "-e", PERL], HTTP, OVER),
    setup("php", &["php", "-S", "127.0.0.1:PORT", "-t", "DIR"], "localhost:PORT", OVER),
    setup("java", &["java", "DIR/Lab.java"], HTTP, OVER),
    setup(
        "busybox",
        &["busybox", "httpd", "-f", "-p", "127.0.0.1:PORT", "-h", "DIR"],
        "PORT",
        OVER,
    ),
    setup("node", &["node", "-e", NODE], HTTP, OVER),
    setup("node http2", &["node", "-e", HTTP2], "localhost:PORT", "HTTP/2"),
    setup("node events", &["node", "-e", EVENTS], "http://localhost:PORT/events", OVER),
    setup("node websocket", &["node", "-e", SOCKETS], "ws://localhost:PORT/chat", "WebSocket"),
    setup("node json lines", &["node", "-e", LINES], "tcp://localhost:PORT", "JSON lines"),
    setup("node mcp", &["node", "-e", MCP], "http://localhost:PORT/mcp", OVER),
    setup("node model", &["node", "-e", MODEL], "http://localhost:PORT/v1/models", OVER),
    setup("nginx", &["nginx", "-p", "DIR", "-c", "DIR/nginx.conf", "-g", "user root;"], HTTP, OVER),
    setup(
        "redis",
        &["redis-server", "--port", "PORT", "--save", "", "--dir", "DIR"],
        "PORT",
        "Redis",
    ),
];

/// The name of a set-up and what the doctor says of it; nothing when it cannot be started here.
type Judged = (&'static str, Option<(Report, &'static str)>);

impl Setup {
    #[expect(clippy::disallowed_methods, reason = "the test waits in real time for a program")]
    async fn judged(&self) -> Judged {
        let (port, folder) = (closed_port(), tempfile::tempdir().unwrap());
        let place = folder.path().display().to_string();
        let filled = |text: &str| text.replace("PORT", &port.to_string()).replace("DIR", &place);
        for (name, text) in [("Lab.java", JAVA), ("nginx.conf", NGINX), ("index.html", "<p>hi")] {
            std::fs::write(folder.path().join(name), filled(text)).unwrap();
        }
        let mut command = Command::new(self.words[0]);
        command.args(self.words[1..].iter().map(|word| filled(word))).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else { return (self.name, None) };
        let mut running = Held(child);
        let until = std::time::Instant::now() + START;
        let opened = || {
            ["127.0.0.1", "::1"].iter().any(|to| std::net::TcpStream::connect((*to, port)).is_ok())
        };
        while !opened() {
            if running.0.try_wait().unwrap().is_some() {
                return (self.name, None);
            }
            assert!(std::time::Instant::now() < until, "{} opened no port", self.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let request = Request { deadline: START, ..request(&filled(self.target)) };
        (self.name, Some((diagnose(&request).await, self.says)))
    }
}

/// Set-ups that are no program of their own: the doctor's own listeners, files, pipes, proxies.
async fn of_our_own() -> Vec<Judged> {
    let mut found: Vec<Judged> = Vec::new();
    let tls = servers::tls();
    let folder = tempfile::tempdir().unwrap();
    let well = servers::http("200 OK");
    // A proxy passes on whatever it is asked for; this one answers for the server itself.
    let proxy = servers::http("200 OK");
    let variables = [("http_proxy".to_owned(), format!("http://127.0.0.1:{}", proxy.port))];
    let behind = Request {
        environment: Environment::from_variables(variables),
        ..request(&format!("http://127.0.0.1:{}/", well.port))
    };
    found.push(("behind a healthy proxy", Some((diagnose(&behind).await, OVER))));
    let text = servers::answers("127.0.0.1:0", b"MCP/1.0 200 OK\r\n\r\n");
    let target = request(&format!("mcp://localhost:{}", text.port));
    found.push(("MCP/1.0 sessions", Some((diagnose(&target).await, "MCP/1.0"))));
    let bare = request(&format!("https://localhost:{}", tls.port));
    // Its certificate is nobody's: trusted as a file it is well, which `tls.rs` shows.
    assert_eq!(diagnose(&bare).await.verdict.id, "tls.self_signed");
    let file = write(folder.path(), "app.env", &format!("URL=http://localhost:{}/\n", well.port));
    found
        .push(("a .env", Some((files::diagnose(&file, &Request::default()).await, "1 addresses"))));
    let socket = folder.path().join("app.sock");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let text = format!("upstream app {{ server unix:{}; }}\n", socket.display());
    let file = write(folder.path(), "nginx.conf", &text);
    let report = files::diagnose(&file, &Request::default()).await;
    found.push(("a UNIX socket in a file", Some((report, "nginx.conf can be read"))));
    found.push(("MCP over pipes", pipes().await));
    found
}

fn write(folder: &Path, name: &str, text: &str) -> files::File {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    files::File { path, ..files::File::default() }
}

/// An MCP server of a shell.
async fn pipes() -> Option<(Report, &'static str)> {
    let text = r#"while read -r line; do case "$line" in *'"initialize"'*) echo '{"jsonrpc":"2.0",
        "id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":
        {"name":"lab","version":"1"}}}' | tr -d '\n'; echo ;; esac; done"#;
    let words = ["sh", "-c", text].map(ToOwned::to_owned).to_vec();
    let command = stdio::Command { words, deadline: Some(START), ..stdio::Command::default() };
    Some((stdio::diagnose(&command).await, "`lab 1`"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_different_servers_are_well_and_nothing_is_said_of_any() {
    let all = SETUPS.iter().map(|setup| Box::pin(setup.judged()) as BoxFuture<'_, Judged>);
    let mut judged = join_all(all).await;
    judged.extend(of_our_own().await);
    let (mut well, mut absent) = (Vec::new(), Vec::new());
    for (name, outcome) in judged {
        let Some((report, says)) = outcome else {
            absent.push(name);
            continue;
        };
        let text = verbose(&report);
        assert_eq!((report.verdict.id, report.exit_code()), ("ok", 0), "{name}: {text}");
        assert!(report.also.is_empty(), "{name}: {text}");
        assert!(report.verdict.sentence.contains(says), "`{says}` of {name}: {text}");
        well.push(name);
    }
    println!("well: {}; not here: {}", well.join(", "), absent.join(", "));
    assert!(well.len() >= SETUPS_MIN, "only {} of them could be started: {well:?}", well.len());
}
