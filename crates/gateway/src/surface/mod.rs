//! The doors: every protocol's paths and shapes over the same conversations, one file each.

pub mod body;
pub mod calls;
pub mod door;
pub mod fields;
pub mod problem;
pub mod stream;

mod astray;
mod base;
mod first;
mod health;
mod joined;
mod keys;
mod lines;
mod login;
pub(crate) mod mcp;
mod native;
mod second;
mod third;
pub(crate) mod vendor;
mod writing;
mod ws;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware::from_fn_with_state;
use bytes::BytesMut;
use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use wire::Fault;

use self::problem::Failed;
use crate::about::Peer;
use crate::gate::Gateway;

/// The paths of every door, in the order of the documentation.
const DOORS: &[fn() -> OpenApiRouter<Gateway>] = &[
    health::routes,
    native::routes,
    keys::routes,
    writing::routes,
    first::routes,
    second::routes,
    third::routes,
    vendor::routes,
    ws::routes,
    mcp::routes,
    joined::routes,
    login::routes,
];

/// The head of the `OpenAPI` document.
#[derive(Debug, utoipa::OpenApi)]
#[openapi(
    info(
        title = "Rapport",
        description = "One home port for AI applications: conversations that any model can \
                       continue. Every error carries `error`, `code` and `request_id`.",
        license(name = "Apache-2.0")
    ),
    components(schemas(native::shape::Problem)),
    modifiers(&Security)
)]
struct Document;

/// Both ways to show a key.
struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{
            ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme,
        };
        let components = document.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("bearer", bearer);
        let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key")));
        components.add_security_scheme("api_key", header);
    }
}

/// The `OpenAPI` document of all doors, generated from their code.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = gather().split_for_parts().1;
    calls::illustrate(&mut document);
    document
}

fn gather() -> OpenApiRouter<Gateway> {
    DOORS
        .iter()
        .fold(OpenApiRouter::with_openapi(Document::openapi()), |all, door| all.merge(door()))
}

impl Gateway {
    /// All HTTP paths, with everything that happens before and after their handlers.
    ///
    /// `pages` are served beside the API and inside the same checks (the console, the docs).
    pub fn router(&self, pages: Router<()>) -> Router {
        let (api, _) = gather().split_for_parts();
        // Made when somebody asks: a server that starts has no use for it.
        let document: Arc<OnceLock<bytes::Bytes>> = Arc::default();
        let spec = axum::routing::get(move || {
            let document = document.get_or_init(|| {
                let document = openapi().to_json().unwrap_or_else(|_| "{}".to_owned());
                bytes::Bytes::from(document)
            });
            let document = document.clone();
            async move { ([(http::header::CONTENT_TYPE, "application/json")], document) }
        });
        let api: Router<()> = api.route("/openapi.json", spec).with_state(self.clone());
        let all = api
            .merge(pages)
            .fallback(astray::nothing_here)
            .layer(tower_http::catch_panic::CatchPanicLayer::custom(panicked));
        // All routing happens behind the door: it cuts the base path off, and it sees the `Allow`
        // header, which the router adds outside of its own layers.
        Router::new().fallback_service(all).layer(from_fn_with_state(self.clone(), door::serve))
    }
}

impl Gateway {
    /// Serves a raw-TCP connection until the peer ends it; `first` was read already.
    ///
    /// Every item gets its reply line, in order; a half-closed connection gets all of them before
    /// it is closed. Nothing is sent before the peer speaks.
    pub async fn lines<S>(&self, stream: S, peer: Peer, first: BytesMut)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        Box::pin(lines::serve(self, stream, peer, first)).await;
    }
}

/// Answers a call without the router, inside the same checks.
pub(crate) async fn answer_directly(
    gate: &Gateway,
    request: axum::extract::Request,
    direct: vendor::Direct,
) -> axum::response::Response {
    let handler = |request| async move {
        let answering = AssertUnwindSafe(direct.answer(gate.clone(), request));
        answering.catch_unwind().await.unwrap_or_else(panicked)
    };
    door::answer(gate, request, handler).await
}

/// A handler's bug ends its own request only; the panic itself goes to the log.
#[expect(clippy::needless_pass_by_value, reason = "the signature is the layer's")]
fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> axum::response::Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!("a handler panicked: {text}\n{}", std::backtrace::Backtrace::force_capture());
    let fault = Fault::internal("this request hit a bug of ours")
        .hint("report it with the request id; the log has the trace");
    axum::response::IntoResponse::into_response(Failed::from(fault))
}
