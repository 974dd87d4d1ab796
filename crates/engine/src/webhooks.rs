//! Webhooks: creating, changing, switching, deleting them, and their secrets.
//!
//! The rules and words of a form are `domain::validate_webhook`; what only the server can know is added here: which event
//! types and sources exist, and where a URL leads.

use std::collections::HashSet;

use domain::{
    CustomHeader, OrganizationId, Overlap, Permission, Problems, PublicId, Timestamp, WebhookDraft, WebhookId,
    WebhookState,
    api::{ApiError, CreatedWebhook, ErrorCode, Page, RotatedSecret, Webhook},
    validate_webhook,
};
use storage::{NewSecret, Rotation, StoreError};
use url::Url;

use crate::{
    Actor, Engine, Inner, Result,
    error::refused,
    paging,
    secrets::{self, Sealed, Secret},
};

/// Names and values of custom headers, as they are encrypted.
type Headers = Vec<(String, String)>;

impl Engine {
    /// The webhooks of the organization, newest first.
    pub async fn webhooks(&self, actor: &Actor, cursor: Option<String>, limit: Option<u32>) -> Result<Page<Webhook>> {
        actor.require(Permission::ReadWebhooks)?;
        let (after, limit) = (paging::after(cursor.as_deref())?, paging::limit(limit));
        self.inner.store.webhooks(actor.organization, after, limit, self.now()).await.map_err(refused)
    }

    /// One webhook.
    pub async fn webhook(&self, actor: &Actor, id: WebhookId) -> Result<Webhook> {
        actor.require(Permission::ReadWebhooks)?;
        self.find_webhook(actor.organization, id).await
    }

    /// Creates a webhook with a secret of its own.
    pub async fn create_webhook(&self, actor: &Actor, draft: WebhookDraft) -> Result<CreatedWebhook> {
        actor.require(Permission::WriteWebhooks)?;
        let (draft, headers) = self.check_draft(actor.organization, draft, &Vec::new()).await?;
        let (id, now) = (self.new_id(), self.now());
        let webhook = Webhook {
            id,
            name: draft.name,
            url: draft.url,
            description: draft.description,
            events: draft.events,
            headers: names(&headers),
            source_id: draft.source_id,
            filter: draft.filter,
            retry_policy: draft.retry_policy,
            event_policies: draft.event_policies,
            options: draft.options,
            state: draft.state,
            state_reason: None,
            consecutive_failures: 0,
            next_probe_at: None,
            blocked_until: None,
            version: 1,
            created_at: now,
            updated_at: now,
            last_triggered_at: None,
            delivered_30d: 0,
            failed_30d: 0,
        };
        let (row, secret) = self.new_secret(now);
        let fields = ["name", "url", "events", "secret", "state"];
        let audit = self.audit_entry(actor, "webhook.created", &id, &fields);
        let sealed = self.inner.seal_headers(id, &headers);
        let stored = self.inner.store.create_webhook(actor.organization, webhook.clone(), sealed, row, audit);
        stored.await.map_err(refused)?;
        self.refresh_routing().await;
        Ok(CreatedWebhook { webhook, secret: secret.expose().to_owned() })
    }

    /// Changes a webhook into what the draft says. With `version`, only if that is the one that is stored.
    pub async fn update_webhook(&self, actor: &Actor, id: WebhookId, draft: WebhookDraft) -> Result<Webhook> {
        actor.require(Permission::WriteWebhooks)?;
        let stored = self.find_webhook(actor.organization, id).await?;
        if draft.version.is_some_and(|version| version != stored.version) {
            return Err(refused(StoreError::Stale));
        }
        // Read after the webhook: headers that are newer than it have a newer version, and the change is refused.
        let sealed = self.inner.store.webhook_headers(actor.organization, id).await.map_err(refused)?.flatten();
        let stored_headers = self.inner.open_headers(id, sealed.as_deref())?;
        let (draft, headers) = self.check_draft(actor.organization, draft, &stored_headers).await?;
        let changed = Webhook {
            name: draft.name,
            url: draft.url,
            description: draft.description,
            events: draft.events,
            headers: names(&headers),
            source_id: draft.source_id,
            filter: draft.filter,
            retry_policy: draft.retry_policy,
            event_policies: draft.event_policies,
            options: draft.options,
            state_reason: stored.state_reason.clone().filter(|_| draft.state == stored.state),
            state: draft.state,
            updated_at: self.now(),
            ..stored.clone()
        };
        let fields = changed_fields(&stored, &changed, stored_headers != headers);
        if fields.is_empty() {
            return Ok(stored);
        }
        let audit = self.audit_entry(actor, "webhook.updated", &id, &fields);
        let sealed = self.inner.seal_headers(id, &headers);
        let updated = self.inner.store.update_webhook(actor.organization, changed, sealed, audit);
        if !updated.await.map_err(refused)? {
            return Err(ApiError::not_found("Webhook"));
        }
        self.refresh_routing().await;
        self.find_webhook(actor.organization, id).await
    }

    /// Switches a webhook on or off. What is held is sent when it becomes active.
    pub async fn set_webhook_state(&self, actor: &Actor, id: WebhookId, state: WebhookState) -> Result<Webhook> {
        actor.require(Permission::WriteWebhooks)?;
        let stored = self.find_webhook(actor.organization, id).await?;
        if stored.state == state {
            return Ok(stored);
        }
        let action = match state {
            WebhookState::Active => "webhook.enabled",
            WebhookState::Paused => "webhook.paused",
            WebhookState::Disabled => "webhook.disabled",
        };
        let audit = self.audit_entry(actor, action, &id, &["state"]);
        let set = self.inner.store.set_webhook_state(actor.organization, id, state, None, self.now(), audit);
        set.await.map_err(refused)?;
        self.refresh_routing().await;
        self.find_webhook(actor.organization, id).await
    }

    /// Deletes a webhook. Its deliveries can still be looked at; what was not sent yet is discarded.
    pub async fn delete_webhook(&self, actor: &Actor, id: WebhookId) -> Result<()> {
        actor.require(Permission::WriteWebhooks)?;
        let audit = self.audit_entry(actor, "webhook.deleted", &id, &[]);
        if !self.inner.store.delete_webhook(actor.organization, id, audit).await.map_err(refused)? {
            return Err(ApiError::not_found("Webhook"));
        }
        self.refresh_routing().await;
        self.inner.pruner.notify_one();
        Ok(())
    }

    /// Makes a new secret, which signs first. The older ones sign too for `overlap_hours` (24 when not given); 0 revokes
    /// them at once.
    pub async fn rotate_secret(
        &self,
        actor: &Actor,
        id: WebhookId,
        overlap_hours: Option<u32>,
    ) -> Result<RotatedSecret> {
        actor.require(Permission::WriteWebhooks)?;
        let overlap = Overlap::from_hours(overlap_hours.unwrap_or(Overlap::DEFAULT_HOURS))?;
        let now = self.now();
        let others_until = now.plus_ms(overlap.ms());
        let (row, secret) = self.new_secret(now);
        let audit = self.audit_entry(actor, "webhook.secret_rotated", &id, &["secret"]);
        let rotated = self.inner.store.rotate_secret(actor.organization, id, row, others_until, audit);
        match rotated.await.map_err(refused)? {
            Rotation::Done => {}
            Rotation::TooMany => {
                let detail = "Ten secrets sign already. Wait until the older ones end, or rotate with an overlap of 0 \
                              hours, which revokes them.";
                return Err(ApiError::new(ErrorCode::Conflict, detail));
            }
            Rotation::Missing => return Err(ApiError::not_found("Webhook")),
        }
        self.refresh_routing().await;
        let previous_expires_at = Some(others_until).filter(|until| *until > now);
        Ok(RotatedSecret { secret: secret.expose().to_owned(), previous_expires_at })
    }

    /// Shows the secret that signs first. That it was shown is in the audit log before it is.
    pub async fn reveal_secret(&self, actor: &Actor, id: WebhookId) -> Result<RotatedSecret> {
        actor.require(Permission::ReadSecrets)?;
        let secrets = self.inner.store.webhook_secrets(actor.organization, id, self.now()).await.map_err(refused)?;
        let newest = secrets.first().ok_or_else(|| ApiError::not_found("Webhook"))?;
        let opened = self.inner.keyring.open("webhook_secrets", "secret", newest.id, &newest.secret);
        let secret = opened.map_err(|error| cannot_open(error, id))?;
        let audit = self.audit_entry(actor, "webhook.secret_revealed", &id, &[]);
        self.inner.store.record(actor.organization, audit).await.map_err(refused)?;
        Ok(RotatedSecret {
            secret: secret.expose().to_owned(),
            previous_expires_at: secrets.get(1).and_then(|previous| previous.expires_at),
        })
    }

    async fn find_webhook(&self, organization: OrganizationId, id: WebhookId) -> Result<Webhook> {
        let found = self.inner.store.webhook(organization, id, self.now()).await.map_err(refused)?;
        found.ok_or_else(|| ApiError::not_found("Webhook"))
    }

    fn new_secret(&self, now: Timestamp) -> (NewSecret, Secret) {
        let secret = secrets::webhook_secret(&*self.inner.entropy);
        // A secret has no public id; its row is numbered like those that have one.
        let id = self.new_id::<WebhookId>().uuid();
        let sealed = self.inner.keyring.seal(&*self.inner.entropy, "webhook_secrets", "secret", id, secret.expose());
        (NewSecret { id, secret: sealed, created_at: now }, secret)
    }

    /// Checks all of a draft; answers with it in its stored form, and with the headers to encrypt.
    async fn check_draft(
        &self,
        organization: OrganizationId,
        mut draft: WebhookDraft,
        stored: &Headers,
    ) -> Result<(WebhookDraft, Headers)> {
        draft.name = draft.name.trim().to_owned();
        draft.url = draft.url.trim().to_owned();
        let mut seen = HashSet::new();
        draft.events.retain(|event| seen.insert(event.clone()));
        let types = self.event_types_of(organization).await?;
        let known: HashSet<&str> = types.iter().map(|event_type| &*event_type.name).collect();
        let url = Url::parse(&draft.url).ok();
        let is_inspector = match &url {
            Some(url) => self.is_own_inspector(organization, &draft.url, url).await?,
            None => false,
        };
        let http_allowed = is_inspector || !self.inner.config.allow_networks.is_empty();
        let noted = validate_webhook(&draft, |name| known.contains(name), http_allowed).err().unwrap_or_default();
        let noted = noted.into_vec();
        let url_was_refused = noted.iter().any(|problem| problem.field == "url");
        let mut problems = Problems::default();
        for problem in noted {
            problems.add(&problem.field, problem.message);
        }
        match url {
            _ if url_was_refused || is_inspector => {}
            None => problems.add("url", "Please enter a valid HTTPS URL"),
            Some(url) => {
                if let Err(refusal) = self.inner.client.guard().check_url(&url).await {
                    problems.add("url", refusal.to_string());
                }
            }
        }
        if let Some(source) = draft.source_id
            && self.inner.store.source(organization, source).await.map_err(refused)?.is_none()
        {
            problems.add("source_id", format!("Unknown source: {source}"));
        }
        let headers = self.inner.merge_headers(&draft.headers, stored, &mut problems);
        problems.or((draft, headers)).map_err(ApiError::from)
    }

    /// Whether a URL is that of the organization's own Inspector, which the guard does not judge: requests to it go to
    /// this process's own listener.
    async fn is_own_inspector(&self, organization: OrganizationId, text: &str, url: &Url) -> Result<bool> {
        let address = self.own_inspector(organization).await?;
        Ok(crate::inspector::receives(&address, text, url))
    }
}

impl Inner {
    /// Values that are given, and stored values for names that come without one.
    fn merge_headers(&self, given: &[CustomHeader], stored: &Headers, problems: &mut Problems) -> Headers {
        let prefix = format!("{}-", self.config.header_prefix.to_ascii_lowercase());
        let mut headers = Headers::new();
        for header in given {
            let name = &header.name;
            let value = || stored.iter().find(|(stored, _)| stored.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            if name.to_ascii_lowercase().starts_with(&prefix) && prefix != "x-intime-" {
                problems.add("headers", format!("Header {name} is set by the sender and cannot be changed"));
            }
            match header.value.as_ref().or_else(value) {
                Some(value) => headers.push((name.clone(), value.clone())),
                None => problems.add("headers", format!("Please give a value for header {name}")),
            }
        }
        headers
    }

    fn seal_headers(&self, id: WebhookId, headers: &Headers) -> Option<Vec<u8>> {
        let text = Secret::new(serde_json::to_string(headers).expect("pairs of texts are JSON"));
        let seal = || self.keyring.seal(&*self.entropy, "webhooks", "headers", id.uuid(), text.expose());
        (!headers.is_empty()).then(seal)
    }

    fn open_headers(&self, id: WebhookId, sealed: Option<&[u8]>) -> Result<Headers> {
        let Some(sealed) = sealed else { return Ok(Headers::new()) };
        let opened = self.keyring.open("webhooks", "headers", id.uuid(), sealed);
        let text = opened.map_err(|error| cannot_open(error, id))?;
        serde_json::from_str(text.expose()).map_err(|_| cannot_open(Sealed, id))
    }
}

fn names(headers: &Headers) -> Vec<CustomHeader> {
    headers.iter().map(|(name, _)| CustomHeader { name: name.clone(), value: None }).collect()
}

fn cannot_open(error: Sealed, id: WebhookId) -> ApiError {
    tracing::error!(%error, webhook.id = %id, "what is encrypted of a webhook cannot be read");
    ApiError::new(ErrorCode::Internal, "What is encrypted of this webhook cannot be read. The server's log says more.")
}

fn changed_fields(stored: &Webhook, changed: &Webhook, headers: bool) -> Vec<&'static str> {
    let mut fields = Vec::new();
    for (field, differs) in [
        ("name", stored.name != changed.name),
        ("url", stored.url != changed.url),
        ("description", stored.description != changed.description),
        ("events", stored.events != changed.events),
        ("headers", headers),
        ("source_id", stored.source_id != changed.source_id),
        ("filter", stored.filter != changed.filter),
        ("retry_policy", stored.retry_policy != changed.retry_policy),
        ("event_policies", stored.event_policies != changed.event_policies),
        ("options", stored.options != changed.options),
        ("state", stored.state != changed.state),
    ] {
        if differs {
            fields.push(field);
        }
    }
    fields
}
