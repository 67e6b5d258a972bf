//! `rapport inspect run` and `--attach-config`: a program's addresses lead to the inspector.

use std::io::{BufRead as _, BufReader};

use crate::house::House;

#[test]
fn a_command_is_run_and_claims_about_its_traffic_decide() {
    let house = House::new();
    let server = house.serve(&[]);
    let to = format!("127.0.0.1:{}", server.port);
    house.write(
        "ask.sh",
        "curl -sf \"$ANTHROPIC_BASE_URL/health\" >/dev/null\n\
         curl -s \"$OPENAI_BASE_URL/nothing\"\n",
    );
    let run = |claims: &[&str], report: &str| {
        let mut all = vec!["inspect", "run", "--listen", "127.0.0.1:0", "--to", &to];
        for claim in claims {
            all.extend(["--assert", claim]);
        }
        all.extend(["--report", report]);
        let mut command = house.command(&[]);
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.args(&all).args(["--", "sh", "ask.sh"]).output().unwrap()
    };
    let good = run(&["count == 2", "p95 < 20s", "no errors[path:/health]"], "good.json");
    let said = String::from_utf8(good.stderr).unwrap();
    assert!(good.status.success(), "{said}");
    assert!(said.contains("holds: count == 2: it is 2"), "{said}");
    let report = std::fs::read_to_string(house.path().join("good.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["holds"], report["claims"].as_array().unwrap().len()), (&true.into(), 3));

    let bad = run(&["no errors", "status[path:/v1/*] == 404"], "bad.xml");
    let said = String::from_utf8(bad.stderr).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{said}");
    assert!(said.contains("fails: no errors: it is 1"), "{said}");
    assert!(said.contains("holds: status[path:/v1/*] == 404"), "{said}");
    let report = std::fs::read_to_string(house.path().join("bad.xml")).unwrap();
    assert!(report.contains("tests=\"2\" failures=\"1\""), "{report}");

    let wrong = run(&["p95 < 2"], "none.json");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("`p95 < 2`"));
}

#[test]
fn a_configuration_leads_here_while_it_runs_and_comes_back_also_after_a_kill() {
    let house = House::new();
    let server = house.serve(&[]);
    let before = format!(
        "{{\n  // by hand\n  \"mcpServers\": {{\n    \"home\": {{ \"url\": \
         \"http://localhost:{}/mcp\" }},\n  }}\n}}\n",
        server.port
    );
    house.write("mcp.json", &before);
    let read = || std::fs::read_to_string(house.path().join("mcp.json")).unwrap();
    let start = || {
        let all = [
            "inspect",
            "--listen",
            "127.0.0.1:0",
            "--attach-config",
            "mcp.json",
            "--server",
            "home",
        ];
        let mut child = house.command(&all).spawn().unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        while !said.contains("leads here instead of to http://localhost:") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "{said}");
        }
        (child, said, lines)
    };
    let (mut child, said, lines) = start();
    let address = said.lines().find_map(|line| line.split("point your program at ").nth(1));
    assert_eq!(
        read(),
        before.replace(&format!("http://localhost:{}", server.port), address.unwrap())
    );
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    assert_ne!(read(), before, "a kill leaves no time");
    let (mut child, said, lines) = start();
    assert!(said.contains("put `") && said.contains("mcp.json` back"), "{said}");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    drop(lines);
    assert_eq!(read(), before);

    let wrong = ["inspect", "--attach-config", "mcp.json", "--server", "nobody"];
    let wrong = house.run(&wrong);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("has no server `nobody`"));
}
