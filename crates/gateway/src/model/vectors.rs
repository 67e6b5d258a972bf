//! Who turns texts into vectors: the built-in model, or a provider that embeds.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use wire::embed::{Asked, Cohere, Embedder, Gemini, Input, Ollama, OpenAi, Vectors};
use wire::{Code, Fault};

use super::{Models, Target, Upstream, config};
use crate::offline;

/// The model that turns messages into vectors.
#[derive(Clone, Debug)]
pub(crate) enum Vectoriser {
    /// The built-in one.
    BuiltIn,
    /// One behind a connection.
    Upstream(Arc<Upstream>),
}

impl Vectoriser {
    /// The name under which its vectors are kept: `provider/model`, or that of the built-in one.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::BuiltIn => offline::KEPT_AS.to_owned(),
            Self::Upstream(upstream) => format!("{}/{}", upstream.provider(), upstream.model()),
        }
    }

    /// One vector for each text. `purpose` is a word of Cohere's, as [`Asked::purpose`] says.
    ///
    /// # Errors
    /// What the provider fails with.
    pub(crate) async fn vectors(
        &self,
        texts: Vec<String>,
        purpose: &str,
    ) -> Result<Vec<Vec<f32>>, Fault> {
        let upstream = match self {
            Self::BuiltIn => {
                let vector = |text: &String| offline::embed(text, offline::DIMENSIONS);
                return Ok(texts.iter().map(vector).collect());
            }
            Self::Upstream(upstream) => upstream,
        };
        let asked = Asked {
            model: upstream.model().to_owned(),
            inputs: texts.into_iter().map(Input::Text).collect(),
            purpose: Some(purpose.to_owned()),
            ..Asked::default()
        };
        let made = ask(upstream, spoken(upstream)?, &asked, &HeaderMap::new()).await?;
        #[expect(clippy::cast_possible_truncation, reason = "models give no more digits")]
        let short = |vector: Vec<f64>| vector.into_iter().map(|x| x as f32).collect();
        Ok(made.vectors.into_iter().map(short).collect())
    }
}

impl Models {
    /// The model that turns messages into vectors; `None` unless one is configured.
    ///
    /// # Errors
    /// `configuration_error` and `model_not_found` for one that cannot be asked.
    pub(crate) fn vectoriser(&self) -> Result<Option<Vectoriser>, Fault> {
        let Some(name) = self.choice.embed.as_deref() else { return Ok(None) };
        if name.strip_prefix("offline/").unwrap_or(name) == offline::EMBED {
            return Ok(Some(Vectoriser::BuiltIn));
        }
        match self.named(name)? {
            Target::Upstream(upstream) => {
                spoken(&upstream)?;
                Ok(Some(Vectoriser::Upstream(upstream)))
            }
            Target::Offline(_) => {
                let text = format!("the built-in model `{name}` makes no vectors");
                let hint = format!("name `{}`, or the model of a provider", offline::EMBED);
                Err(config(text).hint(hint))
            }
        }
    }
}

/// The API in which a provider embeds, by its dialect.
pub(crate) fn spoken(upstream: &Upstream) -> Result<&'static dyn Embedder, Fault> {
    match upstream.dialect().name() {
        "gemini" => Ok(&Gemini),
        name if name.starts_with("ollama") => Ok(&Ollama),
        name if name.starts_with("cohere") => Ok(&Cohere),
        name if name.starts_with("openai") => Ok(&OpenAi),
        _ => {
            let text = format!("provider `{}` makes no embeddings", upstream.provider());
            let hint = format!(
                "ask a provider that does, such as `openai/text-embedding-3-small`, or the \
                 built-in `{}`",
                offline::EMBED
            );
            Err(Fault::new(Code::InvalidInput, text).hint(hint))
        }
    }
}

/// Asks a provider for vectors, in its own API.
pub(crate) async fn ask(
    upstream: &Upstream,
    theirs: &dyn Embedder,
    asked: &Asked,
    headers: &HeaderMap,
) -> Result<Vectors, Fault> {
    let body = theirs.write(asked, upstream.model())?;
    let path = theirs.path_for(upstream.model());
    let mut answered = upstream.pass(Bytes::from(body), headers, (&path, false)).await?;
    let body = answered.whole().await.map_err(|ended| ended.fault)?;
    if !answered.status.is_success() {
        return Err(upstream.refusal(answered.status, &answered.headers, &body));
    }
    let vectors = theirs.read(&body)?;
    if vectors.vectors.len() != asked.inputs.len() {
        let (came, wanted) = (vectors.vectors.len(), asked.inputs.len());
        let text = format!("the provider made {came} embeddings of {wanted} inputs");
        return Err(Fault::new(Code::UpstreamInvalid, text));
    }
    Ok(vectors)
}
