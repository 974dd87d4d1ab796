//! Webhooks: creating, changing, rotating secrets.
//!
//! The rules and words are `domain::validate_webhook`'s, which the browser runs too. What only the server can know is
//! added here: whether an event type exists, and whether the address may be sent to.

use domain::{
    CustomHeader, Overlap, Permission, Problems, PublicId, SourceId, WebhookDraft, WebhookId, WebhookState,
    api::{ApiError, CreatedWebhook, ErrorCode, Page, RotatedSecret, Webhook},
    validate_webhook,
};
use storage::{NewSecret, StoredSecret};
use url::Url;
use uuid::Uuid;

use crate::{Actor, Engine, Result, error::refused, paging, secrets};

impl Engine {
    /// The organization's webhooks, newest first.
    pub async fn webhooks(&self, actor: &Actor, cursor: Option<String>, limit: Option<u32>) -> Result<Page<Webhook>> {
        actor.require(Permission::ReadWebhooks)?;
        let after = paging::after(cursor.as_deref())?;
        let page = self.inner.store.webhooks(actor.organization, after, paging::limit(limit), self.now()).await;
        page.map_err(refused)
    }

    /// One webhook.
    pub async fn webhook(&self, actor: &Actor, id: WebhookId) -> Result<Webhook> {
        actor.require(Permission::ReadWebhooks)?;
        self.find_webhook(actor, id).await
    }

    /// Creates a webhook with a secret of its own.
    pub async fn create_webhook(&self, actor: &Actor, draft: WebhookDraft) -> Result<CreatedWebhook> {
        actor.require(Permission::WriteWebhooks)?;
        let draft = self.checked(actor, draft).await?;
        if draft.headers.iter().any(|header| header.value.is_none()) {
            return Err(Problems::one("headers", "Every header needs a value").into());
        }
        let now = self.now();
        let id: WebhookId = self.new_id();
        let secret = secrets::webhook_secret(&*self.inner.entropy);
        let headers = self.seal_headers(id, &draft.headers, &[]);
        let webhook = Webhook {
            id,
            version: 1,
            created_at: now,
            updated_at: now,
            state: draft.state,
            state_reason: None,
            last_triggered_at: None,
            delivered_30d: 0,
            failed_30d: 0,
            name: draft.name,
            url: draft.url,
            description: draft.description,
            events: draft.events,
            headers: names_only(&draft.headers),
            source_id: draft.source_id,
            filter: draft.filter,
            retry_policy: draft.retry_policy,
        };
        let audit = self.audit_entry(actor, "webhook.created", &id, &["name", "url", "events"]);
        let sealed = self.seal_secret(&secret);
        self.inner.store.create_webhook(actor.organization, webhook.clone(), headers, sealed, audit).await.map_err(refused)?;
        self.refresh_routing().await?;
        Ok(CreatedWebhook { webhook, secret: secret.expose().to_owned() })
    }

    /// Replaces what a person can say of a webhook. With a `version`, only if nobody was faster.
    pub async fn update_webhook(&self, actor: &Actor, id: WebhookId, draft: WebhookDraft) -> Result<Webhook> {
        actor.require(Permission::WriteWebhooks)?;
        let before = self.find_webhook(actor, id).await?;
        let draft = self.checked(actor, draft).await?;
        let stored = self.stored_headers(actor, id).await?;
        if draft.headers.iter().any(|header| header.value.is_none() && value_of(&stored, &header.name).is_none()) {
            return Err(Problems::one("headers", "Every new header needs a value").into());
        }
        let headers = self.seal_headers(id, &draft.headers, &stored);
        let webhook = Webhook {
            version: draft.version.unwrap_or(before.version),
            updated_at: self.now(),
            state_reason: if draft.state == before.state { before.state_reason.clone() } else { None },
            name: draft.name,
            url: draft.url,
            description: draft.description,
            events: draft.events,
            headers: names_only(&draft.headers),
            source_id: draft.source_id,
            filter: draft.filter,
            retry_policy: draft.retry_policy,
            state: draft.state,
            ..before.clone()
        };
        let mut changed = changed_fields(&before, &webhook);
        if draft.headers.iter().any(|header| header.value.is_some()) && !changed.contains(&"headers") {
            changed.push("headers");
        }
        let audit = self.audit_entry(actor, "webhook.updated", &id, &changed);
        let updated = self.inner.store.update_webhook(actor.organization, webhook, headers, audit).await.map_err(refused)?;
        self.refresh_routing().await?;
        if updated { self.find_webhook(actor, id).await } else { Err(missing()) }
    }

    /// Enables, pauses or disables a webhook. What waits for it is held meanwhile, and goes on when it is active again.
    pub async fn set_webhook_state(&self, actor: &Actor, id: WebhookId, state: WebhookState) -> Result<Webhook> {
        actor.require(Permission::WriteWebhooks)?;
        let action = match state {
            WebhookState::Active => "webhook.enabled",
            WebhookState::Paused => "webhook.paused",
            WebhookState::Disabled => "webhook.disabled",
        };
        let audit = self.audit_entry(actor, action, &id, &["state"]);
        let stored = self.inner.store.set_webhook_state(actor.organization, id, state, None, self.now(), audit).await;
        if !stored.map_err(refused)? {
            return Err(missing());
        }
        self.refresh_routing().await?;
        self.find_webhook(actor, id).await
    }

    /// Deletes a webhook. Its history stays; what waits for it is discarded.
    pub async fn delete_webhook(&self, actor: &Actor, id: WebhookId) -> Result<()> {
        actor.require(Permission::WriteWebhooks)?;
        let audit = self.audit_entry(actor, "webhook.deleted", &id, &[]);
        let deleted = self.inner.store.delete_webhook(actor.organization, id, audit).await.map_err(refused)?;
        self.refresh_routing().await?;
        if deleted { Ok(()) } else { Err(missing()) }
    }

    /// Makes a new secret. The old one signs too for `overlap_hours`; 0 revokes it at once.
    pub async fn rotate_secret(&self, actor: &Actor, id: WebhookId, overlap_hours: Option<u32>) -> Result<RotatedSecret> {
        actor.require(Permission::WriteWebhooks)?;
        let overlap = Overlap::from_hours(overlap_hours.unwrap_or(Overlap::DEFAULT_HOURS))?;
        let now = self.now();
        let until = now.plus_ms(overlap.ms());
        let secret = secrets::webhook_secret(&*self.inner.entropy);
        let sealed = self.seal_secret(&secret);
        let audit = self.audit_entry(actor, "webhook.secret_rotated", &id, &["secret"]);
        let rotated = self.inner.store.rotate_secret(actor.organization, id, sealed, until, audit).await.map_err(refused)?;
        self.refresh_routing().await?;
        match rotated {
            storage::Rotation::Done => {}
            storage::Rotation::TooMany => {
                return Err(ApiError::new(
                    ErrorCode::Conflict,
                    "Ten secrets of this webhook are still signing. Revoke the older ones with an overlap of 0, or wait.",
                ));
            }
            storage::Rotation::Missing => return Err(missing()),
        }
        Ok(RotatedSecret { secret: secret.expose().to_owned(), previous_expires_at: (until > now).then_some(until) })
    }

    /// Shows the secret again; written into the audit log.
    pub async fn reveal_secret(&self, actor: &Actor, id: WebhookId) -> Result<RotatedSecret> {
        actor.require(Permission::ReadSecrets)?;
        let stored = self.inner.store.webhook_secrets(actor.organization, id, self.now()).await.map_err(refused)?;
        let Some(StoredSecret { id: row, secret, .. }) = stored.first() else { return Err(missing()) };
        let secret = self.inner.keyring.open("webhook_secrets", "secret", *row, secret).map_err(unreadable)?;
        let audit = self.audit_entry(actor, "webhook.secret_revealed", &id, &[]);
        self.inner.store.record(actor.organization, audit).await.map_err(refused)?;
        let previous_expires_at = stored.iter().skip(1).filter_map(|secret| secret.expires_at).max();
        Ok(RotatedSecret { secret: secret.expose().to_owned(), previous_expires_at })
    }

    async fn find_webhook(&self, actor: &Actor, id: WebhookId) -> Result<Webhook> {
        let found = self.inner.store.webhook(actor.organization, id, self.now()).await.map_err(refused)?;
        found.ok_or_else(missing)
    }

    /// The draft, trimmed, if it may be stored.
    async fn checked(&self, actor: &Actor, draft: WebhookDraft) -> Result<WebhookDraft> {
        let mut draft = WebhookDraft { name: draft.name.trim().to_owned(), url: draft.url.trim().to_owned(), ..draft };
        draft.events.dedup();
        let snapshot = self.inner.routing.current();
        let tenant = snapshot.tenant(actor.organization);
        let known = |name: &str| self.inner.catalogue.contains(name) || tenant.is_some_and(|tenant| tenant.event_types.contains(name));
        let inspector = self.own_inspector(actor.organization).await?;
        let to_inspector = draft.url.starts_with(&inspector);
        let http_allowed = to_inspector || !self.inner.config.allow_networks.is_empty();
        let mut problems = match validate_webhook(&draft, known, http_allowed) {
            Ok(()) => Problems::default(),
            Err(problems) => problems,
        };
        let is_source = |source: SourceId| tenant.is_some_and(|tenant| tenant.sources.contains(&source));
        if let Some(source) = draft.source_id
            && !is_source(source)
        {
            problems.add("source_id", format!("Unknown source: {source}"));
        }
        // The address is asked for last, and only where the text is right: it takes a name lookup.
        if problems.is_empty() && !to_inspector {
            match Url::parse(&draft.url) {
                Ok(url) => {
                    if let Err(refusal) = self.inner.client.guard().check_url(&url).await {
                        problems.add("url", refusal.to_string());
                    }
                }
                Err(_) => problems.add("url", "Please enter a valid HTTPS URL"),
            }
        }
        Ok(problems.or(draft)?)
    }

    fn seal_secret(&self, secret: &secrets::Secret) -> NewSecret {
        let id = self.new_id::<WebhookId>().uuid();
        let sealed = self.inner.keyring.seal(&*self.inner.entropy, "webhook_secrets", "secret", id, secret.expose());
        NewSecret { id, secret: sealed, created_at: self.now() }
    }

    async fn stored_headers(&self, actor: &Actor, id: WebhookId) -> Result<Vec<(String, String)>> {
        let sealed = self.inner.store.webhook_headers(actor.organization, id).await.map_err(refused)?.ok_or_else(missing)?;
        let Some(sealed) = sealed else { return Ok(Vec::new()) };
        let text = self.inner.keyring.open("webhooks", "headers", id.uuid(), &sealed).map_err(unreadable)?;
        serde_json::from_str(text.expose()).map_err(|_| unreadable(secrets::Sealed))
    }

    /// The headers as they are stored; a value that was not given is taken from `stored`.
    fn seal_headers(&self, id: WebhookId, headers: &[CustomHeader], stored: &[(String, String)]) -> Option<Vec<u8>> {
        if headers.is_empty() {
            return None;
        }
        let pair = |header: &CustomHeader| {
            let value = header.value.as_deref().or_else(|| value_of(stored, &header.name)).unwrap_or_default();
            (header.name.clone(), value.to_owned())
        };
        let pairs: Vec<(String, String)> = headers.iter().map(pair).collect();
        let text = secrets::Secret::new(serde_json::to_string(&pairs).unwrap_or_default());
        let row: Uuid = id.uuid();
        Some(self.inner.keyring.seal(&*self.inner.entropy, "webhooks", "headers", row, text.expose()))
    }
}

fn missing() -> ApiError {
    ApiError::not_found("Webhook")
}

fn unreadable(sealed: secrets::Sealed) -> ApiError {
    tracing::error!(%sealed, "the master key does not open a webhook's secret");
    ApiError::new(ErrorCode::Internal, "A stored secret cannot be opened. The server's log says more.")
}

fn value_of<'s>(stored: &'s [(String, String)], name: &str) -> Option<&'s str> {
    stored.iter().find(|(stored, _)| stored.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn names_only(headers: &[CustomHeader]) -> Vec<CustomHeader> {
    headers.iter().map(|header| CustomHeader { name: header.name.clone(), value: None }).collect()
}

fn changed_fields(before: &Webhook, after: &Webhook) -> Vec<&'static str> {
    let changes = [
        ("name", before.name != after.name),
        ("url", before.url != after.url),
        ("description", before.description != after.description),
        ("events", before.events != after.events),
        ("headers", before.headers != after.headers),
        ("source_id", before.source_id != after.source_id),
        ("filter", before.filter != after.filter),
        ("retry_policy", before.retry_policy != after.retry_policy),
        ("state", before.state != after.state),
    ];
    changes.into_iter().filter_map(|(field, changed)| changed.then_some(field)).collect()
}
