//! The frame every check stands in: order, deadline, selection, JSON, exit codes.

use std::time::Duration;

use doctor::report::{Outcome, SCHEMA};
use doctor::{Request, checks, diagnose};
use tokio::time::Instant;

use super::servers::{http, serve};
use super::{check, report, verbose};

#[tokio::test]
async fn the_ladder_is_reported_in_its_order_and_says_why_it_skips() {
    let server = http("200 OK");
    let report = report(&format!("localhost:{}", server.port)).await;
    let reported: Vec<&str> = report.findings.iter().map(|finding| finding.check).collect();
    let listed: Vec<&str> = checks().map(|about| about.id).collect();
    assert_eq!(reported, listed);
    let rungs: Vec<u8> = checks().map(|about| about.rung).collect();
    assert!(rungs.is_sorted());
    for finding in &report.findings {
        assert_eq!(finding.outcome == Outcome::Skip, finding.reason.is_some(), "{finding:?}");
    }
}

#[tokio::test]
async fn wrong_usage_is_exit_code_2() {
    check("", "usage", 2).await;
    let request = Request { only: Some("weather".to_owned()), ..Request::default() };
    let report = diagnose(&request).await;
    assert_eq!(report.exit_code(), 2);
    assert!(report.verdict.fix[0].text.contains("protocol"), "the known checks are listed");
}

#[tokio::test]
async fn one_check_runs_with_those_it_builds_on() {
    let server = http("500 Broken");
    let request = Request {
        target: Some(format!("localhost:{}", server.port)),
        only: Some("connect".to_owned()),
        ..Request::default()
    };
    let report = diagnose(&request).await;
    assert_eq!(report.exit_code(), 0, "{}", verbose(&report));
    assert_eq!(report.findings.last().map(|finding| finding.check), Some("connect"));
}

#[tokio::test]
async fn the_deadline_holds_and_an_unfinished_ladder_is_uncertain() {
    let open = std::sync::Mutex::new(Vec::new());
    let server = serve("127.0.0.1:0", move |stream| open.lock().unwrap().push(stream));
    let request = Request {
        target: Some(format!("http://localhost:{}", server.port)),
        deadline: Duration::from_millis(400),
        ..Request::default()
    };
    let started = Instant::now();
    let report = diagnose(&request).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(report.exit_code(), 3, "{}", verbose(&report));
    let protocol = report.findings.iter().find(|finding| finding.check == "protocol").unwrap();
    assert!(protocol.reason.as_ref().unwrap().contains("did not end"), "{protocol:?}");
}

#[tokio::test]
async fn the_json_form_has_every_documented_field() {
    let server = http("500 Broken");
    let json = report(&format!("localhost:{}", server.port)).await.to_json();
    assert_eq!(json["schema"], SCHEMA);
    assert_eq!((json["ok"].as_bool(), json["exit_code"].as_u64()), (Some(false), Some(1)));
    assert_eq!(json["verdict"]["id"], "http.500");
    assert_eq!(json["verdict"]["confidence"], "certain");
    assert!(json["verdict"]["fix"][0]["text"].is_string());
    assert!(json["verdict"]["fix"][0]["needs_root"].is_boolean());
    assert_eq!(json["target"]["host"], "localhost");
    assert_eq!(json["target"]["port"], server.port);
    for field in ["check", "title", "outcome", "summary", "evidence", "duration_ms", "reason"] {
        assert!(json["findings"][0].get(field).is_some(), "{field}");
    }
    for field in ["also", "ports", "host", "duration_ms"] {
        assert!(json.get(field).is_some(), "{field}");
    }
}

#[tokio::test]
async fn nothing_given_means_the_port_in_effect() {
    let server = http("200 OK");
    let request = Request { default_port: server.port, ..Request::default() };
    let report = diagnose(&request).await;
    assert_eq!(report.exit_code(), 0, "{}", verbose(&report));
    assert_eq!(report.target.port, Some(server.port));
    assert!(report.target.understood.contains("own"), "{}", report.target.understood);
}
