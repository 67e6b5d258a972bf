//! How a context is named: whose it is, and its id.

use std::sync::Arc;

use serde_json::json;
use wire::{Code, Fault};

/// Whose contexts; 0 is the local tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tenant(pub u32);

/// The name of one context.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    /// Whose context it is.
    pub tenant: Tenant,
    /// 1 to 256 characters, none of them a control character.
    pub id: Arc<str>,
}

/// Limit: characters of an id.
const ID_CHARACTERS_MAX: usize = 256;

impl Key {
    /// Names a context by the id a caller chose.
    ///
    /// # Errors
    /// `invalid_input` when the id is empty, longer than 256 characters or holds control
    /// characters.
    pub fn new(tenant: Tenant, id: &str) -> Result<Self, Fault> {
        let wrong = |text: String| {
            Err(Fault::new(Code::InvalidInput, text)
                .hint("an id has 1 to 256 characters and no control characters")
                .details(json!({ "field": "id" })))
        };
        if id.is_empty() {
            return wrong("the context id is empty".to_owned());
        }
        let count = id.chars().count();
        if count > ID_CHARACTERS_MAX {
            return wrong(format!("the context id has {count} characters, 256 are allowed"));
        }
        if id.chars().any(char::is_control) {
            return wrong("the context id holds a control character".to_owned());
        }
        Ok(Self { tenant, id: id.into() })
    }

    /// Names a new context by a random UUID.
    #[must_use]
    pub fn fresh(tenant: Tenant) -> Self {
        Self { tenant, id: uuid::Uuid::new_v4().to_string().into() }
    }
}
