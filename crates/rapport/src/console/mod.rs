//! The pages for people: the console, a readable API reference, and a list of doors for programs.
//!
//! Invariant: the console shows what the API returns; nothing here reads anything else.

mod docs;
#[cfg(feature = "console")]
mod files;
mod index;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What a page may load and from where: nothing but this server.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

/// The routes of all pages; the gateway serves them inside its own checks.
pub(crate) fn pages() -> Router {
    let router = Router::new()
        .route("/", get(index::index))
        .route("/docs", get(docs::page))
        .route("/docs/style.css", get(docs::style));
    #[cfg(feature = "console")]
    let router = router.route("/console/{*path}", get(files::file));
    router
}

/// A response for browsers: exactly this media type, and nothing from elsewhere in it.
fn page(media: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_TYPE, media);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-cache");
    response
}
