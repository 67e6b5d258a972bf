//! Servers whose end the system wrote down: the kernel's own words are evidence.

use std::process::Command;

use doctor::Request;

use super::servers::closed_port;
use super::{broken, fix, verbose};

#[tokio::test]
async fn a_crash_that_the_kernel_wrote_down_is_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("rapport");
    if std::fs::copy("/usr/bin/python3", &program).is_err() {
        println!("skipped: there is no python3 to crash");
        return;
    }
    let mut crash = Command::new(&program);
    let ended = crash.args(["-c", "import ctypes; ctypes.string_at(0)"]).status().unwrap();
    assert!(!ended.success());
    let log = Command::new("dmesg").output();
    if !log.is_ok_and(|log| String::from_utf8_lossy(&log.stdout).contains("rapport[")) {
        println!("skipped: the kernel's log may not be read, or has no crashes");
        return;
    }
    let port = closed_port();
    let target = Some(format!("localhost:{port}"));
    let request = Request { target, default_port: port, ..Request::default() };
    let report = broken(&request, "listen.none", "nothing listens").await;
    let text = verbose(&report);
    let proof = |line: &String| line.starts_with("the kernel, ") && line.contains("rapport[");
    assert!(report.verdict.evidence.iter().any(proof), "{text}");
    fix(&report, "dmesg");
    // A crash of that name says nothing about the port of another program.
    let other = Request { default_port: port.wrapping_add(1), ..request };
    let report = broken(&other, "listen.none", "nothing listens").await;
    assert!(!report.verdict.evidence.iter().any(proof), "{}", verbose(&report));
}
