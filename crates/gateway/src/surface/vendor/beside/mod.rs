//! What providers have beside chats: images, audio, files, batches. It is passed through.

mod batches;
mod choose;
mod upload;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use utoipa_axum::router::OpenApiRouter;
use wire::dialect::{rename, scan};
use wire::{Code, Fault};

pub(super) use self::choose::{Wanted, provider as choose};
use self::upload::Upload;
use crate::auth::{self, Caller};
use crate::client::Answer;
use crate::gate::Gateway;
use crate::model::{Raw, RawCall};
use crate::surface::body;
use crate::surface::problem::Failed;

/// The folders that are passed through, and what the table of providers calls them.
const PASSED: &[(&str, &str)] = &[
    ("/v1/moderations", "moderations"),
    ("/v1/images", "images"),
    ("/v1/audio", "audio"),
    ("/v1/files", "files"),
    ("/v1/uploads", "files"),
    ("/v1/vector_stores", "files"),
    ("/v1/batches", "batches"),
    ("/v1/messages/batches", "batches"),
];

/// Response headers of a provider that end here: they speak of its connection.
const ENDING: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "set-cookie",
    "server",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
    "alt-svc",
];

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    let mut router = OpenApiRouter::new();
    for (folder, _) in PASSED {
        let all = axum::routing::any(beside);
        router = router.route(folder, all.clone()).route(&format!("{folder}/{{*rest}}"), all);
    }
    router.route("/provider/{name}/{*rest}", axum::routing::any(provider))
}

/// Passes a call on to the provider that its model, its header or the configuration names.
async fn beside(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    r: Request,
) -> Result<Response, Failed> {
    let ours = batches::address(&r, &caller);
    let response = Box::pin(passed(gate, caller, r)).await?;
    Ok(match ours {
        Some(address) => batches::here(response, &address).await?,
        None => response,
    })
}

async fn passed(gate: Gateway, caller: Caller, r: Request) -> Result<Response, Fault> {
    let path = r.uri().path();
    let what = PASSED.iter().rev().find(|(folder, _)| path.starts_with(folder));
    let what = what.map_or("files", |(_, what)| what);
    let is_claude =
        path.starts_with("/v1/messages/") || r.headers().contains_key("anthropic-version");
    let family = if is_claude { "anthropic" } else { "openai" };
    let media = r.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let (is_json, is_form) =
        (media.starts_with("application/json"), media.starts_with("multipart/form-data"));
    let snapshot = gate.now();
    let limits = &snapshot.settings.limits;
    let (mut head, body) = r.into_parts();
    let wanted = |model| Wanted { what, family, model };
    if is_json {
        let bytes = body::collect(body, limits).await?;
        // Whether the rest is good is for the provider to say; many calls have no body at all.
        let fields = scan(&bytes).unwrap_or_default();
        let model = fields.model.as_deref();
        let (raw, own) = choose(&snapshot.models, &head.headers, wanted(model))?;
        may(&caller, what, (&raw, own.as_deref()))?;
        let bytes = match own {
            Some(own) if Some(own.as_str()) != model => rename(&bytes, &fields, &own).into(),
            _ => bytes,
        };
        let length = Some(bytes.len() as u64);
        return send(&raw, &mut head, (Body::from(bytes), length)).await;
    }
    let mut upload = Upload::new(body, &head.headers, limits)?;
    let model = if is_form { upload.model().await? } else { None };
    let name = model.as_ref().map(|(name, _)| name.as_str());
    let (raw, own) = choose(&snapshot.models, &head.headers, wanted(name))?;
    may(&caller, what, (&raw, own.as_deref()))?;
    if let (Some((name, place)), Some(own)) = (model, own)
        && name != own
    {
        upload.rename(place, &own);
    }
    stream(&raw, &mut head, upload).await
}

/// Passes anything on to the provider that the path names: any method, path, query and body.
async fn provider(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    r: Request,
) -> Result<Response, Failed> {
    let snapshot = gate.now();
    let (mut head, body) = r.into_parts();
    let whole = head.uri.path().strip_prefix("/provider/").unwrap_or_default();
    let (name, rest) = whole.split_once('/').unwrap_or((whole, ""));
    let raw = snapshot.models.raw(name)?;
    auth::may_use_all_of(&caller.models, raw.name())?;
    let path = format!("/{rest}");
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    head.uri = format!("{path}{query}").parse().map_err(|cause| {
        Fault::new(Code::InvalidInput, format!("`{path}` is not a path")).because(cause)
    })?;
    let upload = Upload::new(body, &head.headers, &snapshot.settings.limits)?;
    Ok(stream(&raw, &mut head, upload).await?)
}

/// Files and batches can hold calls of any model, whatever they say they are for.
fn may(caller: &Caller, what: &str, (raw, model): (&Raw, Option<&str>)) -> Result<(), Fault> {
    match model {
        Some(model) if !matches!(what, "files" | "batches") => {
            auth::may_use(&caller.models, raw.name(), model)
        }
        _ => auth::may_use_all_of(&caller.models, raw.name()),
    }
}

/// Sends a body on as it comes. When it ends early, that is told, not the broken connection.
async fn stream(
    raw: &Raw,
    head: &mut http::request::Parts,
    upload: Upload,
) -> Result<Response, Fault> {
    let length = upload.length();
    let (body, trouble) = upload.into_body();
    let sent = send(raw, head, (body, length)).await;
    sent.map_err(|fault| trouble.take().unwrap_or(fault))
}

async fn send(
    raw: &Raw,
    head: &mut http::request::Parts,
    (body, length): (Body, Option<u64>),
) -> Result<Response, Fault> {
    head.headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    let path = path(&head.uri)?;
    let answer = raw
        .send(RawCall {
            method: head.method.clone(),
            path: &path,
            model: "",
            headers: &head.headers,
            body,
        })
        .await?;
    Ok(down(raw.name(), answer))
}

/// Path and query as the provider gets them: without a key of ours, and never up and out.
fn path(uri: &http::Uri) -> Result<String, Fault> {
    let path = uri.path();
    let decoded = path.replace("%2e", ".").replace("%2E", ".");
    if decoded.split(['/', '\\']).any(|part| part == "..") {
        let text = format!("`{path}` leads out of the provider's API");
        return Err(Fault::new(Code::InvalidInput, text).hint("write the path without `..`"));
    }
    let kept = uri.query().unwrap_or_default().split('&');
    let kept: Vec<&str> =
        kept.filter(|pair| !pair.is_empty() && !pair.starts_with("key=")).collect();
    if kept.is_empty() {
        return Ok(path.to_owned());
    }
    Ok(format!("{path}?{}", kept.join("&")))
}

/// The answer back, piece by piece as it comes.
pub(super) fn down(provider: &str, answer: Answer) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    let ends = |name: &HeaderName| ENDING.contains(&name.as_str());
    let kept = answer.headers.iter().filter(|(name, _)| !ends(name));
    let kept: HeaderMap = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    *response.headers_mut() = kept;
    if let Ok(value) = HeaderValue::from_str(provider) {
        response.headers_mut().insert(HeaderName::from_static("x-rapport-provider"), value);
    }
    // The call of the provider lives in the body: a caller that hangs up drops both.
    let pieces = futures_util::stream::unfold(Some(answer), |answer| async {
        let mut answer = answer?;
        match answer.chunk().await {
            Ok(Some(bytes)) => Some((Ok::<Bytes, std::io::Error>(bytes), Some(answer))),
            Ok(None) => None,
            Err(ended) => {
                tracing::warn!("the provider's answer broke off: {}", ended.fault.chain());
                // The connection breaks too: half a file must not look like a whole one.
                Some((Err(std::io::Error::other("the provider's answer broke off")), None))
            }
        }
    });
    *response.body_mut() = Body::from_stream(pieces);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_on_without_our_key_and_never_up() {
        let check = |uri: &str| path(&uri.parse().unwrap());
        assert_eq!(
            check("/v1/files?limit=2&key=rap_x&after=f").unwrap(),
            "/v1/files?limit=2&after=f"
        );
        assert_eq!(check("/v1/files?key=rap_x").unwrap(), "/v1/files");
        for out in ["/v1/../admin", "/v1/%2e%2E/admin", "/v1/.%2e"] {
            assert_eq!(check(out).unwrap_err().code(), Code::InvalidInput, "{out}");
        }
    }
}
