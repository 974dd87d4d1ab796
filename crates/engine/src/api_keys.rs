//! API keys: making them, revoking them, and recognising one in every request.
//!
//! A key is shown once and stored as a hash. What was recognised is remembered for a few seconds, so that a burst of
//! requests asks the database once; a key that is revoked elsewhere works for that long at most.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{
    ApiKeyId, OrganizationId, Permission, Problems, Scope, Scopes, Timestamp,
    api::{ApiError, ApiKey, ApiKeyDraft, CreatedApiKey},
};

use crate::{Actor, Engine, Inner, Result, Who, error::refused, members::check_name, secrets};

/// What our own keys begin with, so that people and secret scanners recognise one.
const PREFIX: &str = "sbk_";
/// Characters by which a key is recognised in a list.
const SHOWN: usize = 16;
/// For how long a key that was recognised is not looked up again.
const REMEMBERED_MS: i64 = 5_000;
/// How exactly the last use is known.
const USE_NOTED_EVERY_MS: i64 = 60_000;
/// Keys that are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// The keys that were recognised just now. Unknown keys are not remembered: they are never the same.
#[derive(Default)]
pub(crate) struct KeyCache(Mutex<HashMap<[u8; 32], Known>>);

struct Known {
    id: ApiKeyId,
    actor: Actor,
    expires_at: Option<Timestamp>,
    read_at: Timestamp,
    used_at: Option<Timestamp>,
}

impl Known {
    /// Whether this use is to be noted.
    fn is_to_be_noted(&mut self, now: Timestamp) -> bool {
        let due = self.used_at.is_none_or(|used_at| now.since_ms(used_at) >= USE_NOTED_EVERY_MS);
        if due {
            self.used_at = Some(now);
        }
        due
    }
}

impl KeyCache {
    /// Who it is, and whether this use is to be noted.
    fn recognise(&self, hash: &[u8; 32], now: Timestamp) -> Option<(Actor, bool)> {
        let mut keys = self.keys();
        let known = keys.get_mut(hash)?;
        if now.since_ms(known.read_at) >= REMEMBERED_MS || known.expires_at.is_some_and(|at| at <= now) {
            keys.remove(hash);
            return None;
        }
        Some((known.actor.clone(), known.is_to_be_noted(now)))
    }

    fn remember(&self, hash: [u8; 32], known: Known) {
        let mut keys = self.keys();
        if keys.len() >= MAX_REMEMBERED {
            let now = known.read_at;
            keys.retain(|_, known| now.since_ms(known.read_at) < REMEMBERED_MS);
            if keys.len() >= MAX_REMEMBERED {
                keys.clear();
            }
        }
        keys.insert(hash, known);
    }

    fn forget(&self, id: ApiKeyId) {
        self.keys().retain(|_, known| known.id != id);
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Who has this key; `None` when it is unknown, revoked or expired.
    pub async fn api_key(&self, key: &str) -> Result<Option<Actor>> {
        let (hash, now) = (secrets::token_hash(key), self.now());
        if let Some((actor, is_to_be_noted)) = self.inner.keys.recognise(&hash, now) {
            if is_to_be_noted && let Who::Key { id, .. } = actor.who {
                self.inner.note_use(actor.organization, id, now);
            }
            return Ok(Some(actor));
        }
        let Some(row) = self.inner.store.api_key_by_hash(hash).await.map_err(refused)? else { return Ok(None) };
        let key = row.key;
        if key.revoked_at.is_some() || key.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        let who = Who::Key { id: key.id, name: key.name, scopes: key.scopes, source_id: key.source_id };
        let actor = Actor { organization: row.organization_id, who };
        let mut known = Known {
            id: key.id,
            actor: actor.clone(),
            expires_at: key.expires_at,
            read_at: now,
            used_at: key.last_used_at,
        };
        if known.is_to_be_noted(now) {
            self.inner.note_use(actor.organization, key.id, now);
        }
        self.inner.keys.remember(hash, known);
        Ok(Some(actor))
    }

    /// The keys of the organization, newest first.
    pub async fn api_keys(&self, actor: &Actor) -> Result<Vec<ApiKey>> {
        actor.require(Permission::ManageApiKeys)?;
        self.inner.store.api_keys(actor.organization).await.map_err(refused)
    }

    /// Makes a key. This answer is the only place where it is shown.
    pub async fn create_api_key(&self, actor: &Actor, draft: ApiKeyDraft) -> Result<CreatedApiKey> {
        actor.require(Permission::ManageApiKeys)?;
        let now = self.now();
        let mut problems = Problems::default();
        let name = draft.name.trim().to_owned();
        check_name(&name, "name", "Key name", &mut problems);
        let mut scopes = Vec::new();
        for text in &draft.scopes {
            match text.parse::<Scope>() {
                Ok(scope) if scopes.contains(&scope) => {}
                Ok(scope) => scopes.push(scope),
                Err(()) => problems.add("scopes", format!("Unknown scope: {text}")),
            }
        }
        if draft.scopes.is_empty() {
            problems.add("scopes", "Please select at least one scope");
        }
        if let Some(source) = draft.source_id
            && self.inner.store.source(actor.organization, source).await.map_err(refused)?.is_none()
        {
            problems.add("source_id", format!("Unknown source: {source}"));
        }
        if draft.expires_at.is_some_and(|at| at <= now) {
            problems.add("expires_at", "The expiry must be in the future");
        }
        problems.or(())?;
        let text = format!("{PREFIX}{}", secrets::token(&*self.inner.entropy));
        let key = ApiKey {
            id: self.new_id(),
            name,
            prefix: text[..SHOWN].to_owned(),
            scopes: Scopes(scopes),
            source_id: draft.source_id,
            created_at: now,
            last_used_at: None,
            expires_at: draft.expires_at,
            revoked_at: None,
        };
        let mut fields = vec!["name", "scopes"];
        fields.extend(key.source_id.map(|_| "source_id"));
        fields.extend(key.expires_at.map(|_| "expires_at"));
        let audit = self.audit_entry(actor, "api_key.created", &key.id, &fields);
        let stored =
            self.inner.store.create_api_key(actor.organization, key.clone(), secrets::token_hash(&text), audit);
        stored.await.map_err(refused)?;
        Ok(CreatedApiKey { api_key: key, key: text })
    }

    /// Makes a key useless; one that is revoked already stays as it is.
    pub async fn revoke_api_key(&self, actor: &Actor, id: ApiKeyId) -> Result<ApiKey> {
        actor.require(Permission::ManageApiKeys)?;
        let audit = self.audit_entry(actor, "api_key.revoked", &id, &["revoked_at"]);
        self.inner.store.revoke_api_key(actor.organization, id, self.now(), audit).await.map_err(refused)?;
        self.inner.keys.forget(id);
        let found = self.inner.store.api_key(actor.organization, id).await.map_err(refused)?;
        found.ok_or_else(|| ApiError::not_found("API key"))
    }
}

impl Inner {
    /// Notes a use without letting the request wait for it.
    fn note_use(self: &Arc<Self>, organization: OrganizationId, id: ApiKeyId, now: Timestamp) {
        let inner = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(error) = inner.store.touch_api_key(organization, id, now).await {
                tracing::warn!(%error, api_key.id = %id, "the last use of an API key was not noted");
            }
        });
    }
}
