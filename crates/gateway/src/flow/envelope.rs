//! What a turn came in: the request's id and headers, for its route and for its record.

use std::sync::Arc;

use catalog::ModelLimit;
use http::HeaderMap;

use super::Ask;
use crate::auth::Caller;
use crate::route::Began;

/// What is known of the request that carried a turn. Transports without headers leave it empty.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The request's id, as its answer names it; empty where the transport has none.
    pub request: Arc<str>,
    /// Its headers: the conditions of routes look there.
    pub headers: HeaderMap,
    /// The caller's dialect; empty for the shapes of the context API.
    pub dialect: &'static str,
    /// The models the caller may use.
    pub models: ModelLimit,
}

impl Envelope {
    /// The envelope of an HTTP request.
    #[must_use]
    pub fn new(caller: &Caller, request: &Arc<str>, headers: &HeaderMap) -> Self {
        Self { request: Arc::clone(request), headers: headers.clone(), ..Self::of(caller) }
    }

    /// The envelope of a transport without headers.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        Self { models: caller.models.clone(), ..Self::default() }
    }
}

/// What the record of a turn begins with.
pub(super) fn began(ask: &Ask, streamed: bool) -> Began<'_> {
    let Ask { key, envelope, overrides, .. } = ask;
    Began {
        id: &envelope.request,
        tenant: key.tenant.0,
        dialect: if envelope.dialect.is_empty() { "context" } else { envelope.dialect },
        model: overrides.model.as_deref(),
        stream: streamed,
        context: Some(&key.id),
    }
}
