//! Joined MCP servers: until eight are ready, their list, what a call through us adds alone and
//! under load, and how long a bridge takes to its first answer.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::time::Instant;

use crate::program::Program;
use crate::report::{Goal, Report, percentile};
use crate::turns::{spawn, us};
use crate::wire::Line;

/// Joined servers over a pipe; beside them stand three bad ones.
const SERVERS: usize = 8;
const ROUNDS: usize = 1_000;
/// Callers at once, and the calls of each.
const CALLERS: usize = 16;
const CALLS: usize = 250;
/// How often a bridge is started.
const BRIDGES: usize = 20;

/// One program is the server, another joins it: once over HTTP, eight times over a pipe.
pub(crate) async fn joined(binary: &Path, report: &mut Report) -> Result<()> {
    let server = Program::start(binary, &[]).await?;
    let folder = server.data.join("bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("rapport.yaml");
    std::fs::write(&file, configuration(&binary.canonicalize()?, &server.address))?;
    let file = file.to_str().context("a strange folder")?;
    let began = Instant::now();
    let gateway = Program::start(binary, &[("RAPPORT_CONFIG", file)]).await?;
    let mut line = Line::open(&gateway.address).await?;
    let wanted: Vec<String> = (0..SERVERS).map(|n| format!("\"s{n}__model_list\"")).collect();
    let (headers, body) = asked("tools/list", "{}");
    loop {
        let list = line.post_with("/mcp", &headers, &body).await?;
        let list = String::from_utf8_lossy(&list);
        if wanted.iter().all(|name| list.contains(name.as_str())) {
            break;
        }
        if began.elapsed() > Duration::from_secs(30) {
            bail!("the joined servers are not ready: {list}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ready = us(began.elapsed()) / 1_000_000.0;
    report.add("eight joined servers are ready", (ready, "s"), Some(Goal::AtMost(2.0)));
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        line.post_with("/mcp", &headers, &body).await?;
        times.push(us(began.elapsed()) / 1_000.0);
    }
    let list = percentile(&mut times, 0.5);
    report.add("tools/list of eight joined servers, p50", (list, "ms"), Some(Goal::AtMost(5.0)));
    calls((&server.address, &gateway.address), report).await?;
    for (tool, kind) in [("far__model_list", "HTTP"), ("s0__model_list", "a pipe")] {
        load(&gateway.address, (tool, kind), report).await?;
    }
    bridge(binary, &gateway.address, report).await
}

/// Calls of the same tool, direct and through the gateway, turn about.
async fn calls((near, far): (&str, &str), report: &mut Report) -> Result<()> {
    let direct = called("model_list");
    let through = called("far__model_list");
    let mut lines = [Line::open(near).await?, Line::open(far).await?];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((line, times), (headers, body)) in
            lines.iter_mut().zip(&mut times).zip([&direct, &through])
        {
            let began = Instant::now();
            let answer = line.post_with("/mcp", headers, body).await?;
            times.push(us(began.elapsed()));
            if !String::from_utf8_lossy(&answer).contains("\"isError\":false") {
                bail!("{}", String::from_utf8_lossy(&answer));
            }
        }
    }
    let [mut near, mut far] = times;
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let added = percentile(&mut far, share) - percentile(&mut near, share);
        let goal = (share < 0.9).then_some(Goal::AtMost(300.0));
        report.add(format!("a call to a joined server adds, {name}"), (added, "us"), goal);
    }
    Ok(())
}

/// Many callers of one joined server at once.
async fn load(address: &str, (tool, kind): (&str, &str), report: &mut Report) -> Result<()> {
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let mut line = Line::open(address).await?;
        let (headers, body) = called(tool);
        callers.push(spawn(async move {
            let mut times = Vec::with_capacity(CALLS);
            for _ in 0..CALLS {
                let began = Instant::now();
                let answer = line.post_with("/mcp", &headers, &body).await?;
                times.push(us(began.elapsed()) / 1_000.0);
                if !String::from_utf8_lossy(&answer).contains("\"isError\":false") {
                    bail!("{}", String::from_utf8_lossy(&answer));
                }
            }
            Ok(times)
        }));
    }
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await??);
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let goal = (share > 0.9).then_some(Goal::AtMost(50.0));
        let what = format!("a call of {CALLERS} at once to a server over {kind}, {name}");
        report.add(what, (percentile(&mut times, share), "ms"), goal);
    }
    Ok(())
}

/// From the start of a bridge to its answer to `initialize`.
async fn bridge(binary: &Path, address: &str, report: &mut Report) -> Result<()> {
    let params = "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\
                  \"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}";
    let line =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{params}}}\n");
    let mut times = Vec::new();
    for _ in 0..BRIDGES {
        let began = Instant::now();
        let mut child = Command::new(binary)
            .args(["mcp", "--url", &format!("http://{address}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().context("no input")?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        input.write_all(line.as_bytes()).await?;
        let answer = lines.next_line().await?.context("the bridge ended without an answer")?;
        times.push(us(began.elapsed()) / 1_000.0);
        if !answer.contains("\"result\"") {
            bail!("{answer}");
        }
        drop(input);
        child.wait().await?;
    }
    let median = percentile(&mut times, 0.5);
    report.add("a bridge answers after its start, p50", (median, "ms"), Some(Goal::AtMost(50.0)));
    Ok(())
}

fn called(tool: &str) -> (String, String) {
    let params = format!("{{\"name\":\"{tool}\",\"arguments\":{{}}}}");
    let (headers, body) = asked("tools/call", &params);
    (format!("{headers}Mcp-Name: {tool}\r\n"), body)
}

/// The headers and the body of a modern request.
fn asked(method: &str, params: &str) -> (String, String) {
    let headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n");
    let inner = params.trim_start_matches('{').trim_end_matches('}');
    let closing = if params.ends_with("}}") { "}" } else { "" };
    let comma = if inner.is_empty() { "" } else { "," };
    let meta = "{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\
                \"io.modelcontextprotocol/clientCapabilities\":{}}";
    let params = format!("{{{inner}{closing}{comma}\"_meta\":{meta}}}");
    let body =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}");
    (headers, body)
}

fn configuration(binary: &Path, address: &str) -> String {
    let mut yaml = format!("mcp:\n  servers:\n    far:\n      url: http://{address}/mcp\n");
    for number in 0..SERVERS {
        yaml.push_str(&format!(
            "    s{number}:\n      command: {}\n      args: [mcp, --url, \"http://{address}\"]\n",
            binary.display()
        ));
    }
    yaml.push_str("    missing:\n      command: /no/such/program\n");
    yaml.push_str("    garbage:\n      command: sh\n      args: [\"-c\", \"yes\"]\n");
    yaml.push_str("    silent:\n      command: sleep\n      args: [\"600\"]\n");
    yaml
}
