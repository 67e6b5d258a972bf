//! The figures of a run, each beside the goal it is held against.

use std::io::Write as _;

use anyhow::{Result, bail};

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

#[derive(Debug)]
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
}

/// What a figure should reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Report {
    /// Adds a figure and shows it at once.
    pub(crate) fn add(
        &mut self,
        what: impl Into<String>,
        (value, unit): (f64, &'static str),
        goal: Option<Goal>,
    ) {
        let what = what.into();
        // A long run shows that it goes on.
        drop(writeln!(std::io::stderr(), "{what}: {value:.2} {unit}"));
        self.0.push(Row { what, value, unit, goal });
    }

    /// Prints the table; fails when a goal was missed.
    pub(crate) fn print(&self) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let mut missed = 0;
        for row in &self.0 {
            let (goal, met) = match row.goal {
                None => (String::new(), true),
                Some(Goal::AtLeast(goal)) => (format!(">= {goal}"), row.value >= goal),
                Some(Goal::AtMost(goal)) => (format!("<= {goal}"), row.value <= goal),
            };
            missed += usize::from(!met);
            let mark = if met { "" } else { "  MISSED" };
            let Row { what, value, unit, .. } = row;
            writeln!(out, "{what:<58} {value:>12.2} {unit:<8} {goal}{mark}")?;
        }
        if missed > 0 {
            bail!("{missed} goals missed");
        }
        Ok(())
    }
}

/// The value below which this share of the values lies.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into at most a few million values"
    )]
    let index = ((values.len().saturating_sub(1)) as f64 * share).round() as usize;
    values.get(index).copied().unwrap_or(f64::NAN)
}
