//! The page `docs/doctor.md` and the code name the same checks and verdicts.

use std::collections::BTreeSet;
use std::path::Path;

use doctor::checks;

/// Words in backticks with a dot (or alone in a table's first column) that name verdicts.
fn listed(page: &str) -> BTreeSet<String> {
    let section = page.split("## Verdicts").nth(1).expect("the page has a section on verdicts");
    let rows = section.lines().take_while(|line| !line.starts_with("## "));
    rows.filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned)).collect()
}

#[test]
fn the_page_and_the_code_name_the_same_verdicts() {
    let page = include_str!("../../../../docs/doctor.md");
    let mut known: BTreeSet<String> = checks()
        .chain([doctor::stdio::about(), doctor::files::about()])
        .chain([doctor::conversation::about(), doctor::own::about()])
        .flat_map(|about| about.verdicts.iter().map(|id| (*id).to_owned()))
        .collect();
    known.extend([doctor::report::HEALTHY, doctor::report::UNKNOWN].map(str::to_owned));
    assert_eq!(listed(page), known);
}

/// The text of every test of a folder, and of the tests inside its modules.
fn tests_below(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            tests_below(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            let is_test =
                path.ends_with("tests.rs") || folder.components().any(|c| c.as_os_str() == "tests");
            let start = if is_test { Some(0) } else { source.find("mod tests {") };
            text.push_str(start.and_then(|start| source.get(start..)).unwrap_or_default());
        }
    }
}

#[tokio::test]
async fn the_samples_of_the_pages_are_what_is_printed() {
    const COMMAND: &str = "$ rapport doctor localhost:619009\n";
    let report = crate::report("localhost:619009").await;
    if report.ports.iter().any(|port| port.listening) {
        println!("skipped: something listens on a port that the sample shows as free");
        return;
    }
    let printed = report.to_text(false);
    let lines: Vec<&str> = printed.lines().collect();
    for page in [include_str!("../../../../README.md"), include_str!("../../../../docs/doctor.md")]
    {
        let sample = page.split(COMMAND).nth(1).unwrap().split("```").next().unwrap();
        let (whole, rest) = match sample.split_once("  …\n") {
            Some((whole, _)) => (whole, true),
            None => (sample, false),
        };
        let shown: Vec<&str> = whole.lines().collect();
        assert_eq!(shown, lines[..shown.len()], "{printed}");
        assert_eq!(rest, shown.len() < lines.len(), "{printed}");
    }
}

#[test]
fn every_verdict_is_given_by_a_test_that_makes_its_state() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = String::new();
    for folder in ["tests", "src", "../rapport/tests/e2e"] {
        tests_below(&own.join(folder), &mut tests);
    }
    let page = include_str!("../../../../docs/doctor.md");
    let unproved: Vec<String> =
        listed(page).into_iter().filter(|id| !tests.contains(&format!("{id}\""))).collect();
    assert!(unproved.is_empty(), "no test names these verdicts: {unproved:?}");
}

#[test]
fn the_page_names_every_check_in_order() {
    let page = include_str!("../../../../docs/doctor.md");
    let section = page.split("## Checks").nth(1).unwrap();
    let rows = section.lines().take_while(|line| !line.starts_with("## "));
    let listed: Vec<&str> =
        rows.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(listed, checks().map(|about| about.id).collect::<Vec<_>>());
}

#[test]
fn the_troubleshooting_page_is_what_the_doctor_knows() {
    let page = include_str!("../../../../docs/troubleshooting.md");
    assert!(
        page == doctor::knowledge::page(),
        "write it anew: cargo run -p doctor --example troubleshooting > docs/troubleshooting.md"
    );
}
