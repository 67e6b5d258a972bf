//! Webhooks: made, listed, changed, and what is on its way to them.

use std::sync::Arc;

use storage::Durability;
use wire::{Code, Fault};

use super::{Contexts, Job};
use crate::hook::HookSecret;
use crate::rows::hooks;
use crate::{
    Attempt, Delivery, DueDelivery, Hook, HookEdit, Map, NewHook, Tenant, Vault, What, clock, vault,
};

/// Limit: webhooks of one tenant.
const HOOKS_MAX: usize = 100;
/// Bytes of a secret that we make.
const SECRET_BYTES: usize = 32;
/// Bytes that a secret must have at least, and may have at most.
const SECRET_BOUNDS: (usize, usize) = (24, 64);
/// Limit: deliveries of one list.
const LISTED_MAX: u32 = 500;

impl Contexts {
    /// Makes a webhook; the secret is handed out this once.
    ///
    /// # Errors
    /// `invalid_input` for a secret that is too short or too long, `quota_exceeded`,
    /// `configuration_error` without a vault, `storage_error`.
    pub async fn add_hook(
        &self,
        tenant: Tenant,
        new: NewHook,
    ) -> Result<(Hook, HookSecret), Fault> {
        let vault = Arc::clone(self.vault()?);
        let secret = match &new.secret {
            Some(secret) => secret.clone(),
            None => {
                let mut fresh = vec![0; SECRET_BYTES];
                vault::fill(&mut fresh)?;
                fresh
            }
        };
        if !(SECRET_BOUNDS.0..=SECRET_BOUNDS.1).contains(&secret.len()) {
            let text = format!("`secret` has {} bytes, 24 to 64 are right", secret.len());
            return Err(Fault::new(Code::InvalidInput, text)
                .hint("leave it out to get one, or send `whsec_` and 24 to 64 bytes as base64"));
        }
        let salt = uuid::Uuid::new_v4().to_string();
        let sealed = vault.master()?.seal(&place(&salt), &secret)?;
        let hook = self
            .write(Durability::Group, move |job| {
                if hooks::list(job.connection, tenant, None)?.len() >= HOOKS_MAX {
                    let text = format!("there are {HOOKS_MAX} webhooks already, the limit");
                    return Err(Fault::new(Code::QuotaExceeded, text)
                        .hint("delete one that is not needed any more"));
                }
                let named = (salt.as_str(), sealed.as_slice());
                let number = hooks::insert(job.connection, tenant, &new, named, job.now)?;
                job.inner.watch.hooks.refresh(job.connection)?;
                let hook = job.hook(tenant, number)?;
                job.hook_told((tenant, What::HookMade), None, Some(&hook))?;
                Ok(hook)
            })
            .await?;
        Ok((hook, HookSecret::new(secret)))
    }

    /// Whether there is any webhook that is told anything, from memory.
    #[must_use]
    pub fn has_hooks(&self) -> bool {
        self.inner.watch.hooks.any()
    }

    /// The webhooks of a tenant, the oldest first.
    ///
    /// # Errors
    /// `storage_error`.
    pub async fn hooks(&self, tenant: Tenant) -> Result<Vec<Hook>, Fault> {
        self.read(move |c| hooks::list(c, tenant, None)).await
    }

    /// One webhook.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn hook(&self, tenant: Tenant, number: u64) -> Result<Hook, Fault> {
        let found = self.read(move |c| hooks::list(c, tenant, Some(number))).await?;
        found.into_iter().next().ok_or_else(|| nobody(number))
    }

    /// Changes a webhook.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn edit_hook(
        &self,
        tenant: Tenant,
        number: u64,
        edit: HookEdit,
    ) -> Result<Hook, Fault> {
        self.write(Durability::Group, move |job| {
            let before = job.hook(tenant, number)?;
            let mut hook = before.clone();
            hook.url = edit.url.unwrap_or(hook.url);
            hook.events = edit.events.unwrap_or(hook.events);
            hook.enabled = edit.enabled.unwrap_or(hook.enabled);
            hooks::save(job.connection, &hook)?;
            job.inner.watch.hooks.refresh(job.connection)?;
            job.hook_told((tenant, What::HookChanged), Some(&before), Some(&hook))?;
            Ok(hook)
        })
        .await
    }

    /// Removes a webhook and what waits for it.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn delete_hook(&self, tenant: Tenant, number: u64) -> Result<(), Fault> {
        self.write(Durability::Group, move |job| {
            let hook = job.hook(tenant, number)?;
            hooks::remove(job.connection, tenant, number)?;
            job.inner.watch.hooks.refresh(job.connection)?;
            job.hook_told((tenant, What::HookRemoved), Some(&hook), None)
        })
        .await
    }

    /// Puts an event out that says nothing, so that an address can be tried.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn test_hook(&self, tenant: Tenant, number: u64) -> Result<(), Fault> {
        self.write(Durability::Group, move |job| {
            let hook = job.hook(tenant, number)?;
            let at = clock::moment(job.now).to_string();
            let body = serde_json::json!({"type": "webhook.test", "timestamp": at,
                                          "data": {"webhook": hook.number}});
            let number = crate::rows::signed(hook.number);
            hooks::put(job.connection, number, ("webhook.test", &body.to_string()), job.now)
        })
        .await
    }

    /// What waits for a webhook, or what was given up; the newest first.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn deliveries(
        &self,
        tenant: Tenant,
        number: u64,
        dead: bool,
    ) -> Result<Vec<Delivery>, Fault> {
        self.hook(tenant, number).await?;
        self.read(move |c| hooks::deliveries(c, number, dead, LISTED_MAX)).await
    }

    /// Lets deliveries be tried at once, also those that were given up; says how many.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn deliver_again(
        &self,
        tenant: Tenant,
        number: u64,
        delivery: Option<u64>,
    ) -> Result<u64, Fault> {
        self.write(Durability::Group, move |job| {
            job.hook(tenant, number)?;
            match (hooks::again(job.connection, number, delivery, job.now)?, delivery) {
                (0, Some(delivery)) => {
                    let text = format!("there is no delivery {delivery} of webhook {number}");
                    Err(Fault::new(Code::NotFound, text)
                        .hint("what was taken is forgotten; list those that wait or failed"))
                }
                (count, _) => Ok(count),
            }
        })
        .await
    }

    /// What is due now, at most one delivery of each webhook, and how long it is until the next.
    ///
    /// # Errors
    /// `storage_error`; `configuration_error` when the vault's key is not there.
    pub async fn due_deliveries(
        &self,
        limit: u32,
    ) -> Result<(Vec<DueDelivery>, Option<std::time::Duration>), Fault> {
        let now = clock::now();
        let (found, next) = self.read(move |c| hooks::due(c, now, limit)).await?;
        if found.is_empty() && next.is_none() {
            return Ok((Vec::new(), None));
        }
        let vault = self.vault()?;
        let mut due = Vec::with_capacity(found.len());
        for (delivery, url, salt, sealed) in found {
            // A secret that cannot be opened was sealed with another key.
            match vault.master()?.open(&place(&salt), &sealed) {
                Some(secret) => {
                    due.push(DueDelivery { delivery, url, secret: HookSecret::new(secret) });
                }
                None => {
                    let why = "its secret was sealed with another key of the vault".to_owned();
                    self.settle_delivery(delivery, Attempt::Gone(why)).await?;
                }
            }
        }
        let wait = next.map(|at| u64::try_from(at.saturating_sub(now)).unwrap_or(0));
        Ok((due, wait.map(std::time::Duration::from_micros)))
    }

    /// Writes down what became of an attempt.
    ///
    /// # Errors
    /// `storage_error`.
    pub async fn settle_delivery(&self, delivery: Delivery, attempt: Attempt) -> Result<(), Fault> {
        self.write(Durability::Group, move |job| {
            hooks::settle(job.connection, &delivery, &attempt, job.now)?;
            match attempt {
                Attempt::Gone(_) => job.inner.watch.hooks.refresh(job.connection),
                Attempt::Taken | Attempt::Failed(..) => Ok(()),
            }
        })
        .await
    }

    pub(super) fn vault(&self) -> Result<&Arc<Vault>, Fault> {
        self.inner.ring.vault()
    }
}

impl Job<'_> {
    fn hook(&self, tenant: Tenant, number: u64) -> Result<Hook, Fault> {
        let found = hooks::list(self.connection, tenant, Some(number))?;
        found.into_iter().next().ok_or_else(|| nobody(number))
    }

    /// Tells of a change of a webhook: its number, and fingerprints of what it was and is.
    fn hook_told(
        &self,
        (tenant, what): (Tenant, What),
        before: Option<&Hook>,
        after: Option<&Hook>,
    ) -> Result<(), Fault> {
        let Some(shown) = after.or(before) else { return Ok(()) };
        let detail = Map::from_iter([
            ("webhook".to_owned(), shown.number.into()),
            ("enabled".to_owned(), shown.enabled.into()),
        ]);
        let text = |hook: &Hook| {
            let events: Vec<&str> = hook.events.iter().map(|what| what.as_str()).collect();
            let parts = [&hook.url, &events.join(" "), hook.context.as_deref().unwrap_or("")];
            format!("{} {} {}", hook.number, parts.join("\n"), hook.enabled)
        };
        let (before, after) = (before.map(text), after.map(text));
        self.tell_of(tenant, what, (before.as_deref(), after.as_deref()), &detail)
    }
}

fn place(salt: &str) -> String {
    format!("webhook {salt}")
}

fn nobody(number: u64) -> Fault {
    Fault::new(Code::NotFound, format!("there is no webhook {number}"))
        .hint("list the webhooks with GET /api/v1/webhooks")
}
