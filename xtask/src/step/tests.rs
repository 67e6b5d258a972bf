//! What a chore promises about its steps: order, stops, counts.

use super::*;

type Run = fn(&Path) -> anyhow::Result<Outcome>;

const PASS: Run = |_| Ok(Outcome::Passed(vec!["3 passed, 0 failed".into()]));
const FAIL: Run = |_| bail!("the roof leaks");
const LACK: Run = |_| Ok(Outcome::Missing(vec!["chromium".into()]));

fn never(_root: &Path) -> bool {
    false
}

const fn step(name: &'static str, after: &'static [&'static str], run: Run) -> Step {
    Step { name, about: "", after, applies: always, run }
}

const STEPS: &[Step] = &[
    step("ground", &[], PASS),
    step("walls", &["ground"], PASS),
    step("roof", &["walls"], PASS),
    Step { name: "pool", about: "", after: &[], applies: never, run: FAIL },
];

fn names(only: &[&str]) -> Vec<&'static str> {
    let only = only.iter().map(|name| (*name).to_owned()).collect();
    let options = Options { only, ..Options::default() };
    let chosen = choose(Path::new("."), STEPS, &options).unwrap();
    chosen.iter().map(|step| step.name).collect()
}

fn run(steps: &[Step], options: &Options) -> bool {
    run_all(Path::new("."), steps, options).unwrap()
}

#[test]
fn a_named_step_brings_what_it_needs_in_the_order_of_the_list() {
    assert_eq!(names(&["roof"]), ["ground", "walls", "roof"]);
    assert_eq!(names(&["walls"]), ["ground", "walls"]);
}

#[test]
fn a_step_about_what_the_tree_does_not_have_is_left_out() {
    assert_eq!(names(&[]), ["ground", "walls", "roof"]);
}

#[test]
fn a_step_that_is_unknown_or_has_nothing_to_run_is_refused() {
    let refuse = |name: &str| {
        let options = Options { only: vec![name.into()], ..Options::default() };
        choose(Path::new("."), STEPS, &options).unwrap_err().to_string()
    };
    assert_eq!(refuse("rof"), "`rof` is no step; there are ground, walls, roof, pool");
    assert_eq!(refuse("pool"), "`pool` has nothing to run in this tree");
}

#[test]
fn a_failure_stops_the_chore_unless_told_to_go_on() {
    fn flag(root: &Path) -> anyhow::Result<Outcome> {
        std::fs::write(root.join("reached"), "")?;
        PASS(root)
    }
    let steps = [step("one", &[], FAIL), step("two", &[], flag)];
    let folder = std::env::temp_dir().join(format!("xtask-steps-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let stopped = run_all(&folder, &steps, &Options::default()).unwrap();
    let reached_at_once = folder.join("reached").exists();
    let options = Options { keep_going: true, ..Options::default() };
    let went_on = run_all(&folder, &steps, &options).unwrap();
    let reached_in_the_end = folder.join("reached").exists();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((stopped, reached_at_once), (false, false));
    assert_eq!((went_on, reached_in_the_end), (false, true));
}

#[test]
fn something_missing_fails_unless_it_is_allowed() {
    let steps = [step("packages", &[], LACK), step("tests", &["packages"], PASS)];
    let strict = Options { keep_going: true, ..Options::default() };
    let lenient = Options { allow_missing: true, ..strict.clone() };
    assert!(!run(&steps, &strict));
    assert!(run(&steps, &lenient));
}

#[test]
fn what_needs_a_failed_step_is_not_run_and_is_counted() {
    let done = Done { name: "walls", outcome: Outcome::Failed(vec![]), took: Duration::ZERO };
    let roof = step("roof", &["walls"], PASS);
    let outcome = blocked(&roof, &[done]).unwrap();
    assert!(outcome.is_bad(&Options::default()));
    let done = [
        Done { name: "walls", outcome: Outcome::Failed(vec![]), took: Duration::ZERO },
        Done { name: "roof", outcome, took: Duration::ZERO },
    ];
    let lines = summary(&done, 3, &Options::default());
    assert_eq!(lines.last().unwrap(), "0 passed, 1 failed, 2 not run");
}

#[test]
fn the_last_line_counts_steps() {
    let done = ["a", "b"].map(|name| Done {
        name,
        outcome: Outcome::Passed(vec!["Summary [ 1.0s] 4 tests run".into()]),
        took: Duration::from_millis(1500),
    });
    let lines = summary(&done, 2, &Options::default());
    assert_eq!(lines.last().unwrap(), "2 passed, 0 failed");
    assert!(lines.iter().any(|line| line.contains("1.5 s") && line.contains("4 tests run")));
}

#[test]
fn closing_lines_of_every_runner_are_known() {
    for line in [
        "     Summary [   0.021s] 12 tests run: 12 passed, 0 skipped",
        "test result: ok. 3 passed; 0 failed",
        "Ran 14 tests in 0.532s",
        "OK",
        "bans ok, licenses ok, sources ok",
        "    Finished `dev` profile [unoptimized + debuginfo] target(s) in 3.21s",
        "FAILED (failures=1)",
        "27 passed, 0 failed",
    ] {
        assert!(is_closing(line), "{line}");
    }
    for line in ["   Compiling wire v0.1.0", "all passed", "running 3 tests"] {
        assert!(!is_closing(line), "{line}");
    }
}

#[test]
fn a_failed_step_names_what_failed_and_else_says_its_last_words() {
    let shell = |script| outcome_of(program::command(Path::new("."), "sh", &["-c", script]));
    let named = shell("echo noise; echo '   FAIL [ 1s] a::b'; echo more noise; exit 1").unwrap();
    assert_eq!(named, Outcome::Failed(vec!["FAIL [ 1s] a::b".into()]));
    let unnamed = shell("echo one; echo two; exit 1").unwrap();
    assert_eq!(unnamed, Outcome::Failed(vec!["one".into(), "two".into()]));
    let passed = shell("echo noise; echo '4 passed, 0 failed'").unwrap();
    assert_eq!(passed, Outcome::Passed(vec!["4 passed, 0 failed".into()]));
}
