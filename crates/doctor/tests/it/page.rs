//! The page `docs/doctor.md` and the code name the same checks and verdicts.

use std::collections::BTreeSet;

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
