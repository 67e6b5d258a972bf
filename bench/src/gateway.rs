//! The gateway beside a direct call, nginx's `proxy_pass` and the `LiteLLM` proxy, in one run.
//!
//! Requests per second and what each adds to one call, for bodies of several sizes and many streams
//! at once.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mock::{Mock, Script};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::litellm::{self, LiteLlm};
use crate::program::{Program, UNLIMITED, cpu_us};
use crate::report::{Report, percentile};
use crate::turns::{spawn, us};
use crate::wire::Line;

/// Bytes of the question.
const SIZES: &[(usize, &str)] =
    &[(1 << 10, "1 KiB"), (16 << 10, "16 KiB"), (256 << 10, "256 KiB"), (4 << 20, "4 MiB")];
/// Connections that ask at the same time.
const CONNECTIONS: usize = 32;
/// How long each figure is measured.
const FOR: Duration = Duration::from_secs(2);
/// Streams at the same time.
const STREAMS: &[usize] = &[128, 512, 2_000];

/// A way to the model server.
#[derive(Clone)]
struct Way {
    name: &'static str,
    address: String,
    path: &'static str,
    /// Header lines of every request.
    headers: &'static str,
    /// The caller speaks the upstream's dialect.
    same: bool,
    /// Not ours: when it fails, that is a figure too.
    peer: bool,
    /// Whose CPU time is told.
    pid: Option<u32>,
}

/// What a way does with questions of one size.
struct Measured {
    /// Requests per second of many connections.
    rate: f64,
    /// The median of one connection, in microseconds.
    alone: f64,
    /// Microseconds of CPU for each request; no number where nobody is asked.
    cpu: f64,
}

impl Way {
    /// A way on which the caller speaks as the model server does.
    fn of(name: &'static str, address: &str) -> Self {
        let (address, path) = (address.to_owned(), "/v1/messages");
        Self { name, address, path, headers: "", same: true, peer: false, pid: None }
    }

    /// The same, by a caller who speaks another API.
    fn translated(&self, name: &'static str) -> Self {
        Self { name, path: "/v1/chat/completions", same: false, ..self.clone() }
    }
}

/// Measures every way for every size, turn about; without `whole` no streams and no `LiteLLM`.
pub(crate) async fn beside(binary: &Path, report: &mut Report, whole: bool) -> Result<()> {
    let script = Script::parse("default.text = \"a short answer of the model\"")?;
    let mock = Mock::start("127.0.0.1:0".parse()?, script).await?;
    let base = format!("http://{}", mock.addr());
    let program = Program::before(binary, mock.addr(), UNLIMITED).await?;
    let nginx = Nginx::start(&mock.addr().to_string()).await?;
    let litellm = match whole {
        true => LiteLlm::start(binary, &base, &question(200, true, false)).await?,
        false => None,
    };
    let mut ways = vec![Way::of("direct", &mock.addr().to_string())];
    ways.extend(nginx.iter().map(|nginx| {
        let pid = nginx.child.id();
        Way { peer: true, pid, ..Way::of("nginx", &nginx.address) }
    }));
    let ours = Way { pid: program.pid(), ..Way::of("rapport, passed", &program.address) };
    ways.extend([ours.clone(), ours.translated("rapport, translated")]);
    if let Some(litellm) = &litellm {
        let passed = Way::of("LiteLLM, passed", &litellm.address);
        let passed = Way { peer: true, headers: litellm::HEADERS, ..passed };
        ways.extend([passed.clone(), passed.translated("LiteLLM, translated")]);
    }
    for (size, shown) in SIZES {
        let mut direct = 0.0;
        for way in &ways {
            let Measured { rate, alone, cpu } = measured_or_not(way, (*size, shown)).await?;
            if way.name == "direct" {
                direct = rate;
            }
            report.add(format!("{shown}, {}", way.name), (rate, "req/s"), None);
            let share = rate / f64::max(direct, 1.0);
            report.add(format!("{shown}, {}: share of direct", way.name), (share, ""), None);
            report.add(format!("{shown}, {}: alone, p50", way.name), (alone, "us"), None);
            if way.pid.is_some() {
                report.add(format!("{shown}, {}: CPU of a request", way.name), (cpu, "us"), None);
            }
        }
    }
    for count in STREAMS.iter().filter(|_| whole) {
        for way in ways.iter().filter(|way| way.same) {
            let (whole, first) = streams(way, *count).await?;
            report.add(format!("{count} streams, {}: complete", way.name), (whole, ""), None);
            report.add(
                format!("{count} streams, {}: first text, p99", way.name),
                (first, "us"),
                None,
            );
        }
    }
    report.add("memory after all that", (program.memory_mib()?, "MiB"), None);
    mock.shutdown().await;
    Ok(())
}

/// As [`measured`]; where another program than ours fails, that is told and the run goes on.
async fn measured_or_not(way: &Way, (size, shown): (usize, &str)) -> Result<Measured> {
    match measured(way, size).await {
        Err(error) if way.peer => {
            drop(writeln!(std::io::stderr(), "{shown}, {}: {error:#}", way.name));
            Ok(Measured { rate: 0.0, alone: f64::NAN, cpu: f64::NAN })
        }
        measured => measured,
    }
}

fn question(size: usize, same: bool, stream: bool) -> String {
    let text = "word ".repeat(size / 5);
    let max = if same { "\"max_tokens\":100," } else { "" };
    format!(
        "{{\"model\":\"claude-sonnet-5\",{max}\"stream\":{stream},\
         \"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}"
    )
}

async fn measured(way: &Way, size: usize) -> Result<Measured> {
    let body: Arc<str> = question(size, way.same, false).into();
    let mut alone = Vec::new();
    let mut line = Line::open_with(&way.address, way.headers).await?;
    let until = Instant::now() + FOR / 3;
    while Instant::now() < until {
        let began = Instant::now();
        line.answered(way.path, &body).await?;
        alone.push(us(began.elapsed()));
    }
    let used = way.pid.map(cpu_us).transpose()?;
    let until = Instant::now() + FOR;
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let (address, path, body) = (way.address.clone(), way.path, Arc::clone(&body));
        let headers = way.headers;
        tasks.push(spawn(async move {
            let mut line = Line::open_with(&address, headers).await?;
            let mut count = 0_u32;
            while Instant::now() < until {
                line.answered(path, &body).await?;
                count += 1;
            }
            Ok::<u32, anyhow::Error>(count)
        }));
    }
    let mut total = 0.0;
    for task in tasks {
        total += f64::from(task.await??);
    }
    let cpu = match (way.pid, used) {
        (Some(pid), Some(before)) => (cpu_us(pid)? - before) / f64::max(total, 1.0),
        _ => f64::NAN,
    };
    let (rate, alone) = (total / FOR.as_secs_f64(), percentile(&mut alone, 0.5));
    Ok(Measured { rate, alone, cpu })
}

/// Many streams at once: how many came whole, and the first text's 99th percentile.
async fn streams(way: &Way, count: usize) -> Result<(f64, f64)> {
    let body: Arc<str> = question(200, true, true).into();
    let mut tasks = Vec::new();
    for _ in 0..count {
        let (address, path, body) = (way.address.clone(), way.path, Arc::clone(&body));
        let headers = way.headers;
        tasks.push(spawn(async move {
            let mut line = Line::open_with(&address, headers).await?;
            let began = Instant::now();
            line.until(path, &body, b"text_delta").await?;
            let first = us(began.elapsed());
            line.rest(b"message_stop").await?;
            Ok::<f64, anyhow::Error>(first)
        }));
    }
    let mut firsts = Vec::new();
    for task in tasks {
        if let Ok(first) = task.await? {
            firsts.push(first);
        }
    }
    let whole = f64::from(u32::try_from(firsts.len())?);
    Ok((whole, percentile(&mut firsts, 0.99)))
}

/// nginx in front of the model server; none where it is not installed.
struct Nginx {
    address: String,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn start(upstream: &str) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = free.local_addr()?.to_string();
        drop(free);
        let at = folder.path().display();
        let page = format!(
            "daemon off; worker_processes 2; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 8192; }}\n\
             http {{\n  access_log {at}/access.log; client_body_temp_path {at}/body;\n  \
             proxy_temp_path {at}/proxy; client_max_body_size 64m; client_body_buffer_size 8m;\n  \
             keepalive_requests 1000000;\n  \
             upstream model {{ server {upstream}; keepalive 256; keepalive_requests 1000000; }}\n  \
             server {{\n    listen {address};\n    location / {{\n      \
             proxy_pass http://model; proxy_http_version 1.1;\n      \
             proxy_set_header Connection \"\"; proxy_buffering off;\n    }}\n  }}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, page)?;
        let started = Command::new("nginx")
            .args(["-p"])
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .process_group(0)
            .spawn();
        let Ok(child) = started else { return Ok(None) };
        for _ in 0..100 {
            if Line::open(&address).await.is_ok() {
                return Ok(Some(Self { address, child, _folder: folder }));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(anyhow::anyhow!("nginx does not answer")).context("its configuration may be refused")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers live on where only the first process is killed.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
            let _gone = rustix::process::kill_process_group(id, rustix::process::Signal::TERM);
        }
    }
}
