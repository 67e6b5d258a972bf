//! What a caller of the Responses API wants beside the answer: when, and of how much.

use context::{Plan, Strategy};
use serde_json::json;
use wire::dialect::Asked;
use wire::{Code, Fault};

/// Fields that are ours to act on: no provider is to act on them again.
const OURS: [&str; 2] = ["background", "truncation"];

/// What is wanted.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// The answer is asked for later.
    pub(super) background: bool,
    /// How much of the conversation is shown, where the caller says so.
    pub(super) window: Option<Plan>,
}

impl Wish {
    /// Reads the fields, and takes those that are ours out of the prompt.
    pub(super) fn of(asked: &mut Asked) -> Result<Self, Fault> {
        let field = |name: &str| {
            let found = asked.echo.iter().find(|(held, _)| held == name);
            found.map(|(_, raw)| raw.get()).filter(|json| *json != "null")
        };
        let background = match field("background") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(wrong("background", "true or false")),
        };
        let window = match field("truncation") {
            None | Some("\"auto\"") => None,
            Some("\"disabled\"") => Some(Plan { strategy: Strategy::Full, ..Plan::default() }),
            Some(_) => return Err(wrong("truncation", "`auto` or `disabled`")),
        };
        include(asked)?;
        if background && asked.store == Some(false) {
            return Err(wrong("store", "true, or absent, with `background`"));
        }
        if let Some(private) = &mut asked.prompt.private {
            private.fields.retain(|held| !OURS.contains(&held.name.as_str()));
        }
        Ok(Self { background, window })
    }
}

/// What is to be included is a matter for the provider, but it has to be a list of names.
fn include(asked: &Asked) -> Result<(), Fault> {
    let fields = asked.prompt.private.iter().flat_map(|private| &private.fields);
    for field in fields.filter(|field| field.name == "include") {
        serde_json::from_str::<Vec<String>>(field.json.get())
            .map_err(|_cause| wrong("include", "an array of strings"))?;
    }
    Ok(())
}

fn wrong(field: &str, expected: &str) -> Fault {
    let text = format!("`{field}` must be {expected}");
    Fault::new(Code::InvalidInput, text).details(json!({"field": field}))
}
