//! Joined MCP servers: until eight are ready, their list, and what a call through us adds.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::time::Instant;

use crate::program::Program;
use crate::report::{Goal, Report, percentile};
use crate::turns::us;
use crate::wire::Line;

/// Joined servers over a pipe; beside them stand two bad ones.
const SERVERS: usize = 8;
const ROUNDS: usize = 1_000;

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
    calls((&server.address, &gateway.address), report).await
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
    yaml.push_str("    silent:\n      command: sleep\n      args: [\"600\"]\n");
    yaml
}
