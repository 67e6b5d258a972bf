//! The one place that prints.

/// Prints a line to standard output.
#[expect(clippy::print_stdout, reason = "the one printer of the chores")]
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Prints a line to standard error.
#[expect(clippy::print_stderr, reason = "the one printer of the chores")]
pub(crate) fn problem(text: &str) {
    eprintln!("{text}");
}
