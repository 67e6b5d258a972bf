//! Making a context once, however often the request is sent.

use serde_json::Value;
use wire::Fault;

use super::{Contexts, Job};
use crate::rows::ctx;
use crate::rows::idem::{self, Answer};
use crate::rows::parts;
use crate::{Context, Idem, Key, Map, New, Tenant, What};

impl Contexts {
    /// Makes a context, or returns the one that the same request made before.
    ///
    /// # Errors
    /// As [`Contexts::create`]; `idempotency_mismatch` when the key was used with another body.
    pub async fn create_once(
        &self,
        tenant: Tenant,
        new: New,
        idem: Idem,
    ) -> Result<Context, Fault> {
        let key = match &new.id {
            Some(id) => Key::new(tenant, id)?,
            None => Key::fresh(tenant),
        };
        self.ready(tenant).await?;
        let durability = new.settings.durability.unwrap_or(self.durability);
        self.write(durability, move |job| {
            job.watched(&key, What::Created, || job.create_once(&key, new, &idem))
        })
        .await
    }
}

impl Job<'_> {
    fn create_once(&self, key: &Key, new: New, idem: &Idem) -> Result<Context, Fault> {
        self.made_once(key.tenant, idem, || self.create(key, new))
    }

    /// Makes a context by `make`, or returns the one that was made before.
    pub(super) fn made_once(
        &self,
        tenant: Tenant,
        idem: &Idem,
        make: impl FnOnce() -> Result<Context, Fault>,
    ) -> Result<Context, Fault> {
        if let Some(answer) = idem::claim(self.connection, tenant, idem, self.now)? {
            let id = answer.state.as_ref().and_then(|s| s.get("id")).and_then(Value::as_str);
            let id = id.ok_or_else(|| Fault::internal("a stored answer names no context"))?;
            let row = ctx::live(self.connection, &Key::new(tenant, id)?, self.now)?;
            return parts::context(self.connection, &row);
        }
        let made = make()?;
        let mut state = Map::new();
        state.insert("id".to_owned(), Value::from(&*made.id));
        let answer = Answer {
            n: 0,
            segment: None,
            number: 0,
            revision: made.revision,
            first: 0,
            last: 0,
            created: true,
            state: Some(state),
        };
        idem::done(self.connection, tenant, idem, &answer)?;
        Ok(made)
    }
}
