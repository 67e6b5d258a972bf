//! Which provider a call is for that no dialect of ours reads.

use http::HeaderMap;
use serde_json::json;
use wire::{Code, Fault};

use crate::model::{Door, Models, Raw, Target};

/// The header that names the provider.
const HEADER: &str = "x-rapport-provider";

/// What is asked for, and in whose words.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Wanted<'a> {
    /// `files`, `images` …: as the table of providers has it.
    pub(in super::super) what: &'a str,
    /// What the name of the provider's dialect begins with.
    pub(in super::super) family: &'a str,
    /// The model the call names.
    pub(in super::super) model: Option<&'a str>,
}

/// The provider, and its own name of the model: by the model, else by the header, else the only
/// one that fits.
///
/// # Errors
/// `model_not_found`, `not_found` when no provider fits, `invalid_input` when several do.
pub(in super::super) fn provider(
    models: &Models,
    headers: &HeaderMap,
    wanted: Wanted<'_>,
) -> Result<(Raw, Option<String>), Fault> {
    let named = headers.get(HEADER).and_then(|value| value.to_str().ok());
    if let Some(name) = named {
        let model = wanted.model.map(|model| {
            let own = model.strip_prefix(name).and_then(|rest| rest.strip_prefix('/'));
            own.unwrap_or(model).to_owned()
        });
        return Ok((fitting(models.raw(name)?, wanted)?, model));
    }
    match wanted.model.map(|model| models.resolve(Some(model), Door::Context)) {
        // Models of these kinds are rarely listed: an unknown name says nothing.
        None | Some(Err(_)) => {}
        Some(Ok(Target::Upstream(upstream))) => {
            let raw = fitting(models.raw(upstream.provider())?, wanted)?;
            return Ok((raw, Some(upstream.model().to_owned())));
        }
        Some(Ok(Target::Offline(model))) => {
            let text = format!("the built-in model `{}` has no `{}`", model.name(), wanted.what);
            return Err(Fault::new(Code::InvalidInput, text).hint(configure(wanted)));
        }
    }
    let mut fits: Vec<Raw> = models.raws().into_iter().filter(|raw| suits(raw, wanted)).collect();
    match (fits.pop(), fits.len()) {
        (Some(only), 0) => Ok((only, wanted.model.map(str::to_owned))),
        (Some(last), _) => {
            fits.push(last);
            let names: Vec<&str> = fits.iter().map(Raw::name).collect();
            let text = format!("several providers have `{}`: {}", wanted.what, names.join(", "));
            Err(Fault::new(Code::InvalidInput, text)
                .hint("name one in the header `x-rapport-provider`, or as `PROVIDER/MODEL`")
                .details(json!({"providers": names})))
        }
        (None, _) => {
            let text = format!("no configured provider has `{}` in this API", wanted.what);
            Err(Fault::new(Code::NotFound, text).hint(configure(wanted)))
        }
    }
}

fn suits(raw: &Raw, wanted: Wanted<'_>) -> bool {
    raw.dialect().starts_with(wanted.family) && raw.offers(wanted.what)
}

fn fitting(raw: Raw, wanted: Wanted<'_>) -> Result<Raw, Fault> {
    if suits(&raw, wanted) {
        return Ok(raw);
    }
    let text = format!("provider `{}` has no `{}` in this API", raw.name(), wanted.what);
    Err(Fault::new(Code::InvalidInput, text)
        .hint("ask it in its own words below `/provider/NAME/`, or name another provider")
        .details(json!({"provider": raw.name()})))
}

fn configure(wanted: Wanted<'_>) -> String {
    if wanted.what == "rerank" {
        return "ask for the built-in `lexical-rerank`, or add a provider with rankings, such as \
                `jina` or `voyage`"
            .to_owned();
    }
    let variable =
        if wanted.family == "anthropic" { "ANTHROPIC_API_KEY" } else { "OPENAI_API_KEY" };
    format!("set {variable}, or add a provider with `{}` to `providers`", wanted.what)
}
