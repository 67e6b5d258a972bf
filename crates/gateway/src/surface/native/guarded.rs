//! Changes that `If-Match` binds to a revision, on the routes whose bodies say nothing of one.

use std::ops::Deref;

use axum::extract::FromRequestParts;
use context::Contexts;
use http::request::Parts;

use super::read;
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// All contexts, for one change: it is refused with `precondition_failed` when the context has not
/// the revision that the request's `If-Match` names.
#[derive(Debug)]
pub(crate) struct Guarded(Contexts);

impl Deref for Guarded {
    type Target = Contexts;

    fn deref(&self) -> &Contexts {
        &self.0
    }
}

impl FromRequestParts<Gateway> for Guarded {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, gate: &Gateway) -> Result<Self, Failed> {
        let expect = read::expected(&parts.headers)?;
        Ok(Self(gate.contexts().expecting(expect)))
    }
}
