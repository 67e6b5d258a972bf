//! Whole conversations out of the store and into it.

use wire::Fault;

use super::Contexts;
use crate::transfer::{Format, JsonDocument, Parcel, write};
use crate::{Context, Entry, Key, Slice, Tenant};

/// Messages that are read at once.
const PAGE: u32 = 500;

impl Contexts {
    /// Writes a context with all its messages.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `invalid_input` for a format that can only be read,
    /// `storage_error`.
    pub async fn export(&self, key: &Key, format: Format) -> Result<JsonDocument, Fault> {
        let context = self.get(key).await?;
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let after = entries.last().map(|entry| entry.seq);
            let page = self.messages(key, Slice { limit: PAGE, after, ..Slice::default() }).await?;
            let more = page.next.is_some();
            entries.extend(page.items);
            if !more {
                break;
            }
        }
        write(&context, &entries, format)
    }

    /// Makes the contexts of a parcel, all or none.
    ///
    /// # Errors
    /// As [`Contexts::create`] and [`Contexts::fork`]; what was made before is removed again.
    pub async fn import(&self, tenant: Tenant, parcel: Parcel) -> Result<Vec<Context>, Fault> {
        let mut made: Vec<Context> = Vec::new();
        for item in parcel.items {
            let result = match item.fork {
                None => self.create(tenant, item.new).await,
                Some((of, at)) => {
                    let parent = made.get(of).map(|parent| parent.id.clone());
                    let parent =
                        parent.ok_or_else(|| Fault::internal("a fork stands before its parent"))?;
                    self.fork(&Key { tenant, id: parent }, Some(at), item.new).await
                }
            };
            let result = match result {
                Ok(context) if item.closed => self.close(&Key { tenant, id: context.id }).await,
                other => other,
            };
            match result {
                Ok(context) => made.push(context),
                Err(fault) => {
                    for context in made {
                        if let Err(left) = self.delete(&Key { tenant, id: context.id }).await {
                            tracing::warn!("an unfinished import is left: {}", left.chain());
                        }
                    }
                    return Err(fault);
                }
            }
        }
        Ok(made)
    }
}
