//! Behind a reverse proxy: the base path is cut off, and trusted proxies name the real peer.

use std::net::IpAddr;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::Uri;
use http::uri::PathAndQuery;
use wire::{Code, Fault};

use super::problem::Failed;
use crate::about::Peer;
use crate::gate::Gateway;

/// Cuts `server.base_path` off the request; an answer for a request that is not below it.
pub(super) fn enter(gate: &Gateway, request: &mut Request) -> Option<Result<Response, Failed>> {
    let snapshot = gate.now();
    let base = snapshot.settings.base_path.trim_end_matches('/');
    if base.is_empty() {
        return None;
    }
    let path = request.uri().path();
    if path == base {
        // The pages name their files relative to the folder.
        return Some(Ok(Redirect::permanent(&format!("{base}/")).into_response()));
    }
    let Some(rest) = path.strip_prefix(base).filter(|rest| rest.starts_with('/')) else {
        let fault = Fault::new(Code::NotFound, format!("nothing is served at `{path}`"))
            .hint(format!("everything is below `{base}/` (`server.base_path`)"));
        return Some(Err(fault.into()));
    };
    let whole = match request.uri().query() {
        Some(query) => format!("{rest}?{query}"),
        None => rest.to_owned(),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = whole.parse::<PathAndQuery>().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    None
}

/// The other end: the connection's, or the one a trusted proxy names.
pub(super) fn peer(gate: &Gateway, request: &Request) -> Peer {
    let mut peer = request.extensions().get::<Peer>().copied().unwrap_or_else(|| Peer {
        addr: std::net::SocketAddr::from(([0, 0, 0, 0], 0)),
        tls: false,
    });
    let snapshot = gate.now();
    let trusted = |ip: IpAddr| {
        let ip = ip.to_canonical();
        snapshot.settings.trusted_proxies.iter().any(|proxy| proxy.to_canonical() == ip)
    };
    if !trusted(peer.addr.ip()) {
        return peer;
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    // The last address that is not a proxy of ours: what stands before it anybody may have written.
    let chain = header("x-forwarded-for").unwrap_or_default();
    let named = chain.rsplit(',').filter_map(|text| text.trim().parse::<IpAddr>().ok());
    if let Some(ip) = named.into_iter().find(|ip| !trusted(*ip)) {
        peer.addr.set_ip(ip);
    }
    if header("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https")) {
        peer.tls = true;
    }
    peer
}
