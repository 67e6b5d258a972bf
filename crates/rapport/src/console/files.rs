//! The embedded files of the console.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::page;

#[derive(RustEmbed)]
#[folder = "../../console"]
struct Files;

/// The media types of the files there are.
const MEDIA: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("json", "application/json"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
];

/// `GET /console/PATH`.
pub(super) async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    serve(&path, &headers)
}

/// The console's first page.
pub(super) fn start(headers: &HeaderMap) -> Response {
    serve("index.html", headers)
}

fn serve(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Files::get(path) else {
        return (StatusCode::NOT_FOUND, page("text/plain; charset=utf-8", "no such file\n"))
            .into_response();
    };
    let tag = tag(&file);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let ending = path.rsplit('.').next().unwrap_or_default();
    let media = MEDIA.iter().find(|(known, _)| *known == ending);
    let media = media.map_or("application/octet-stream", |(_, media)| media);
    let mut response = if unchanged {
        page(media, StatusCode::NOT_MODIFIED)
    } else {
        page(media, file.data.into_owned())
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let digits: Vec<String> = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{}\"", digits.concat())
}

#[cfg(test)]
mod tests {
    use super::serve;
    use axum::http::{HeaderMap, StatusCode, header};

    #[test]
    fn files_have_their_type_a_tag_and_a_strict_policy() {
        let first = serve("index.html", &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(first.headers()["x-content-type-options"], "nosniff");
        let policy = first.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("script-src 'self';"), "{policy}");

        let mut known = HeaderMap::new();
        known.insert(header::IF_NONE_MATCH, first.headers()["etag"].clone());
        assert_eq!(serve("index.html", &known).status(), StatusCode::NOT_MODIFIED);
        let script = serve("app.js", &HeaderMap::new());
        assert_eq!(script.headers()["content-type"], "text/javascript; charset=utf-8");
        for outside in ["../Cargo.toml", "/etc/passwd", "no-such-file"] {
            assert_eq!(serve(outside, &HeaderMap::new()).status(), StatusCode::NOT_FOUND);
        }
    }
}
