//! The report's two forms and its exit codes.

use super::{Confidence, Finding, Fix, HEALTHY, Outcome, Report, Subject, USAGE, Verdict};

fn finding(outcome: Outcome, reason: Option<&str>) -> Finding {
    Finding {
        check: "listen",
        title: "listening sockets",
        outcome,
        summary: "something listens".to_owned(),
        evidence: vec!["seen it".to_owned()],
        duration_ms: 1.5,
        reason: reason.map(str::to_owned),
    }
}

fn report(verdict: Verdict, findings: Vec<Finding>) -> Report {
    Report {
        target: Subject::default(),
        verdict,
        findings,
        also: Vec::new(),
        ports: Vec::new(),
        by_hand: Vec::new(),
        duration_ms: 2.0,
        verbose: false,
    }
}

#[test]
fn exit_codes_follow_the_verdict() {
    let code = |verdict| report(verdict, Vec::new()).exit_code();
    assert_eq!(code(Verdict::certain(HEALTHY, "it works")), 0);
    assert_eq!(code(Verdict::certain("listen.none", "nothing listens")), 1);
    assert_eq!(code(Verdict::likely("firewall.drop", "dropped")), 1);
    assert_eq!(code(Verdict::certain(USAGE, "empty")), 2);
    assert_eq!(code(Verdict::uncertain("net.timeout", "silence")), 3);
}

#[test]
fn a_healthy_report_is_one_line_and_a_warning_adds_one() {
    let verdict = || Verdict::certain(HEALTHY, "localhost:61900 works");
    let text = report(verdict(), vec![finding(Outcome::Pass, None)]).to_text(false);
    assert_eq!(text, "✓ localhost:61900 works. [ok]\n");
    let text = report(verdict(), vec![finding(Outcome::Warn, None)]).to_text(false);
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn a_fault_shows_sentence_evidence_fix_and_ladder_in_this_order() {
    let verdict = Verdict::likely("listen.none", "nothing listens on port 7")
        .because("the table is empty")
        .fix(Fix::run_as_root("start it", "rapport serve --port 7"));
    let findings = vec![finding(Outcome::Fail, None), finding(Outcome::Skip, Some("no right"))];
    let mut report = report(verdict, findings);
    let text = report.to_text(false);
    let order = [
        "Nothing listens on port 7. [listen.none, likely]",
        "the table is empty",
        "start it (needs root)",
        "$ rapport serve --port 7",
        "listen FAIL  listen skip",
        "skipped listen: no right",
    ];
    let mut rest = text.as_str();
    for part in order {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part} is not in order: {text}")).1;
    }
    assert!(!text.contains("seen it"));
    report.verbose = true;
    assert!(report.to_text(false).contains("seen it"));
}

#[test]
fn colour_only_when_asked() {
    let report = report(Verdict::certain(HEALTHY, "fine"), Vec::new());
    assert!(!report.to_text(false).contains('\u{1b}'));
    assert!(report.to_text(true).contains('\u{1b}'));
}

#[test]
fn confidence_is_written_in_lower_case() {
    let json = report(Verdict::uncertain("unknown", "who knows"), Vec::new()).to_json();
    assert_eq!(json["verdict"]["confidence"], "uncertain");
    assert_eq!(serde_json::to_value(Confidence::Certain).unwrap(), "certain");
}
