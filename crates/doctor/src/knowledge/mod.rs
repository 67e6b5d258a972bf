//! What is known of error texts and symptoms, kept as data beside this file.

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

const ERRORS: &str = include_str!("errors.toml");
const SYMPTOMS: &str = include_str!("symptoms.toml");

/// A known error text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The tools that print it.
    tool: String,
    /// The verdict id the doctor gives the same cause.
    id: String,
    /// Parts of the text; each pattern is one way to recognise it, `*` stands for anything.
    patterns: Vec<String>,
    cause: String,
    steps: Vec<String>,
    /// Says so little that any other text beside it is better.
    #[serde(default)]
    weak: bool,
    /// Tells why a server failed when it stands in the server's own log, and not of a client.
    #[serde(default)]
    log: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Errors {
    error: Vec<Entry>,
}

/// What an error text means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The verdict id the doctor gives the same cause, where it has one.
    pub id: String,
    /// The tools that print such a text.
    pub tool: String,
    /// The part of the text that was recognised.
    pub recognised: String,
    /// The cause in one sentence.
    pub cause: String,
    /// What to do, in order.
    pub steps: Vec<String>,
    /// What the number in the text is, when it is no port.
    pub port: Option<String>,
}

impl Explanation {
    /// The explanation for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{} [{}]\n  printed by: {}\n", self.cause, self.id, self.tool);
        if let Some(port) = &self.port {
            text.push_str(&format!("  the number: {port}\n"));
        }
        for (at, step) in self.steps.iter().enumerate() {
            text.push_str(&format!("  {}. {step}\n", at + 1));
        }
        text
    }
}

/// A row of the table of symptoms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symptom {
    /// What the user sees.
    pub symptom: String,
    /// What may be behind it, the most frequent first.
    pub causes: Vec<String>,
    /// What to do first.
    pub steps: Vec<String>,
    /// What to do when that did not help.
    pub advanced: Vec<String>,
}

/// One of the standard tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymptomTable {
    /// A short name for commands.
    pub name: String,
    /// What it is about.
    pub title: String,
    /// Its rows.
    pub rows: Vec<Symptom>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Symptoms {
    table: Vec<SymptomTable>,
}

fn entries() -> &'static [Entry] {
    static READ: OnceLock<Vec<Entry>> = OnceLock::new();
    // The file is part of the program; a test reads it too, so a broken one is never released.
    READ.get_or_init(|| toml::from_str::<Errors>(ERRORS).map(|all| all.error).unwrap_or_default())
}

/// The standard tables: symptom, causes, first steps, further steps.
#[must_use]
pub fn symptom_tables() -> &'static [SymptomTable] {
    static READ: OnceLock<Vec<SymptomTable>> = OnceLock::new();
    READ.get_or_init(|| {
        toml::from_str::<Symptoms>(SYMPTOMS).map(|all| all.table).unwrap_or_default()
    })
}

/// Explains an error text of a tool, a library or a log; `None` when it is not known.
///
/// The longest known part of the text decides, so `Connection refused` inside a longer, better
/// known text does not hide it.
#[must_use]
pub fn explain_text(text: &str) -> Option<Explanation> {
    explain(text, |_| true)
}

/// Explains a line of a server's log, by the texts with which servers fail.
pub(crate) fn explain_log(text: &str) -> Option<Explanation> {
    explain(text, |entry| entry.log)
}

fn explain(text: &str, wanted: impl Fn(&Entry) -> bool) -> Option<Explanation> {
    let lower = text.to_lowercase();
    let all = entries()
        .iter()
        .filter(|entry| wanted(entry))
        .flat_map(|entry| entry.patterns.iter().map(move |pattern| (entry, pattern)))
        .filter(|(_, pattern)| matches(&lower, &pattern.to_lowercase()));
    let (entry, pattern) = all.max_by_key(|(entry, pattern)| (!entry.weak, pattern.len()))?;
    Some(Explanation {
        id: entry.id.clone(),
        tool: entry.tool.clone(),
        recognised: pattern.clone(),
        cause: entry.cause.clone(),
        steps: entry.steps.clone(),
        port: impossible_number(text).map(crate::port::explain),
    })
}

/// Whether the parts of `pattern` between `*` stand in `text` in their order.
fn matches(text: &str, pattern: &str) -> bool {
    let mut rest = Some(text);
    for part in pattern.split('*') {
        rest = rest.and_then(|rest| rest.split_once(part)).map(|(_, after)| after);
    }
    rest.is_some()
}

/// The first number in a text that looks like a port and cannot be one.
fn impossible_number(text: &str) -> Option<&str> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    numbers.find(|number| {
        (5..=8).contains(&number.len()) && number.parse::<u32>().is_ok_and(|n| n > 65_535)
    })
}

/// The tables for a terminal.
#[must_use]
pub fn symptoms_text() -> String {
    let mut text = String::new();
    for table in symptom_tables() {
        text.push_str(&format!("{}\n", table.title));
        for row in &table.rows {
            text.push_str(&format!("\n  {}\n", row.symptom));
            let parts = [("causes", &row.causes), ("first", &row.steps), ("then", &row.advanced)];
            for (name, lines) in parts {
                for (at, line) in lines.iter().enumerate() {
                    let name = if at == 0 { name } else { "" };
                    text.push_str(&format!("    {name:<7} {line}\n"));
                }
            }
        }
        text.push('\n');
    }
    text
}

/// The tables in Markdown.
#[must_use]
pub fn symptoms_markdown() -> String {
    let mut text = String::new();
    for table in symptom_tables() {
        text.push_str(&format!("## {}\n\n", table.title));
        text.push_str("| Symptom | Likely causes | First steps | If that did not help |\n");
        text.push_str("|---|---|---|---|\n");
        for row in &table.rows {
            let cell = |lines: &[String]| lines.join("<br>").replace('|', "\\|");
            text.push_str(&format!(
                "| {} | {} | {} | {} |\n",
                row.symptom.replace('|', "\\|"),
                cell(&row.causes),
                cell(&row.steps),
                cell(&row.advanced)
            ));
        }
        text.push('\n');
    }
    text
}

/// The page `docs/troubleshooting.md`: the tables with a head.
#[must_use]
pub fn page() -> String {
    let tables = symptoms_markdown();
    format!(
        "# When localhost does not answer\n\n\
         This page is written from what the doctor knows (`cargo run -p doctor --example \
         troubleshooting`).\nAsk it first: `rapport doctor localhost:61900` looks at the address \
         and says in one sentence what is wrong.\n\n{}\n",
        tables.trim_end()
    )
}

/// The tables as JSON.
#[must_use]
pub fn symptoms_json() -> serde_json::Value {
    serde_json::json!({ "schema": crate::report::SCHEMA, "tables": symptom_tables() })
}
