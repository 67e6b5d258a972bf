//! Profiles of users and notes of contexts: read, changed, forgotten.

use storage::Durability;
use wire::{Code, Fault};

use super::beside::{clean_map, clean_value};
use super::{Contexts, Job};
use crate::rows::{ctx, notes, parts};
use crate::{Key, Map, NewNote, Note, Profile, Settings, Tenant, What, clock, merge_patch, refuse};

/// Limit: characters of a user or of a note's name.
const NAME_CHARACTERS_MAX: usize = 256;

impl Contexts {
    /// Reads what is known of a user.
    ///
    /// # Errors
    /// `not_found` when there is no profile, `storage_error`.
    pub async fn profile(&self, tenant: Tenant, user: &str) -> Result<Profile, Fault> {
        let user = user.to_owned();
        self.read(move |connection| {
            notes::profile(connection, tenant, &user)?.ok_or_else(|| nobody(&user))
        })
        .await
    }

    /// Changes a profile by a merge patch (RFC 7396), or makes it.
    ///
    /// # Errors
    /// `precondition_failed` when `expect` names another revision, `context_too_long`,
    /// `invalid_input` for a name that is none, `storage_error`.
    pub async fn edit_profile(
        &self,
        tenant: Tenant,
        user: &str,
        patch: Map,
        expect: Option<u64>,
    ) -> Result<Profile, Fault> {
        named("user", user)?;
        let user = user.to_owned();
        self.ready(tenant).await?;
        self.write(Durability::Group, move |job| job.edit_profile(tenant, user, patch, expect))
            .await
    }

    /// Forgets what is known of a user; their contexts stay.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn delete_profile(&self, tenant: Tenant, user: &str) -> Result<(), Fault> {
        let user = user.to_owned();
        self.write(Durability::Group, move |job| {
            let found = notes::profile(job.connection, tenant, &user)?;
            let Some(found) = found else { return Err(nobody(&user)) };
            notes::drop_profile(job.connection, tenant, &user)?;
            let before = parts::to_text(&found.body)?;
            let detail = told(&found);
            job.tell_of(tenant, What::Unprofiled, (Some(&before), None), &detail)
        })
        .await
    }

    /// The notes of a context that hold now, oldest first.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn notes(&self, key: &Key) -> Result<Vec<Note>, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            notes::notes(connection, row.n, clock::now())
        })
        .await
    }

    /// Keeps a note in a context.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `context_closed`, `context_too_long`,
    /// `invalid_input` for an environment without a name, `storage_error`.
    pub async fn note(&self, key: &Key, mut new: NewNote) -> Result<Note, Fault> {
        new.name = new.name.or_else(|| new.kind.only_name().map(str::to_owned));
        match &new.name {
            Some(name) => named("name", name)?,
            None if new.kind.needs_name() => {
                let text = format!("must be given for the kind `{}`", new.kind.as_str());
                return Err(refuse::invalid("name", &text));
            }
            None => {}
        }
        let durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::Noted, || {
                let row = job.live(&key)?;
                row.admit(None)?;
                if let Some(plan) = job.writing_in(&row)? {
                    clean_value(&plan, &mut new.value);
                }
                notes::add(job.connection, row.n, new, job.now)
            })
        })
        .await
    }

    /// Forgets a note.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `not_found` when there is no such note,
    /// `storage_error`.
    pub async fn forget_note(&self, key: &Key, number: u32) -> Result<(), Fault> {
        let durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::Noted, || {
                let row = job.live(&key)?;
                if notes::forget(job.connection, row.n, number)? {
                    Ok(())
                } else {
                    Err(Fault::new(Code::NotFound, format!("there is no note {number}")))
                }
            })
        })
        .await
    }
}

impl Job<'_> {
    fn edit_profile(
        &self,
        tenant: Tenant,
        user: String,
        patch: Map,
        expect: Option<u64>,
    ) -> Result<Profile, Fault> {
        let now = clock::moment(self.now);
        let found = notes::profile(self.connection, tenant, &user)?;
        let mut profile = found.unwrap_or_else(|| Profile {
            user,
            body: Map::new(),
            revision: 0,
            created_at: now,
            last_updated: now,
        });
        if let Some(expected) = expect
            && expected != profile.revision
        {
            return Err(refuse::precondition(expected, profile.revision));
        }
        let before = (profile.revision > 0).then(|| parts::to_text(&profile.body)).transpose()?;
        merge_patch(&mut profile.body, patch);
        // A profile belongs to no context: the server's plan holds for it.
        if let Some(plan) = self.writing(&Settings::default()) {
            clean_map(&plan, &mut profile.body);
        }
        profile.revision = profile.revision.saturating_add(1);
        profile.last_updated = now;
        notes::save_profile(self.connection, tenant, &profile)?;
        let after = parts::to_text(&profile.body)?;
        let sides = (before.as_deref(), Some(after.as_str()));
        self.tell_of(tenant, What::Profiled, sides, &told(&profile))?;
        Ok(profile)
    }
}

/// What is told of a profile: whose it is, never what it says.
fn told(profile: &Profile) -> Map {
    Map::from_iter([
        ("user".to_owned(), profile.user.as_str().into()),
        ("revision".to_owned(), profile.revision.into()),
    ])
}

pub(super) fn named(field: &str, name: &str) -> Result<(), Fault> {
    let count = name.chars().count();
    if (1..=NAME_CHARACTERS_MAX).contains(&count) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(refuse::invalid(field, "must have 1 to 256 characters and no control characters"))
}

fn nobody(user: &str) -> Fault {
    Fault::new(Code::NotFound, format!("nothing is known of the user `{}`", user.escape_debug()))
        .hint("make the profile with PATCH /api/v1/profiles/{user}")
}
