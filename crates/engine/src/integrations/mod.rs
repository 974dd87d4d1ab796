//! Integrations: creating, changing, switching and deleting them, and their secrets.
//!
//! What a draft must be is said by the provider's file and checked by `domain::catalogue::validate_config`; what only the
//! server can know is added here: whether names are taken, where URLs lead, and whether references to secrets resolve. Long
//! because every change of an integration is here; probing, testing, reporting and the worker have files of their own.

mod call;
mod diagnose;
mod folder;
mod probe;
mod report;
mod round;
mod s3;
mod secret;
mod test;
mod uplink;
mod worker;

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    IntegrationDraft, IntegrationId, IntegrationState, IntegrationStatus, OrganizationId, Permission, Problems,
    PublicId, Timestamp,
    api::{
        ApiError, ErrorCode, Integration, IntegrationLine, IntegrationQuery, IntegrationSummary, RunbookDraft,
        RunbookStep, SecretMark,
    },
    catalogue::{Config, FieldKind, Provider, validate_config},
    health::{Health, Pulse, first_check_ms},
};
use serde_json::Value;
use storage::{IntegrationRow, SealedSecrets};
use url::Url;

pub(crate) use call::{Call, Right, Values, Wrong, judged, values};
pub(crate) use diagnose::target;
pub(crate) use folder::put as put_into_folder;
pub(crate) use probe::{Probed, found, smtp_server};
pub(crate) use s3::{Operation, send as send_to_bucket};
pub use uplink::UplinkHost;
pub(crate) use uplink::{Uplink, watch};
pub(crate) use worker::run;

use crate::{
    Actor, Engine, Inner, LiveEvent, Result, Who,
    error::refused,
    secrets::{self, Secret},
};

/// Secrets by name of field: values, or references to them.
pub(crate) type Secrets = BTreeMap<String, Secret>;

/// Longest maintenance window, in hours.
const MAX_MAINTENANCE_HOURS: u32 = 168;

impl Engine {
    /// One provider of the catalogue.
    pub fn provider(&self, id: &str) -> Result<&Arc<Provider>> {
        self.inner.providers.provider(id).ok_or_else(|| ApiError::not_found("Provider"))
    }

    /// The integrations that a query asks for, by name.
    pub async fn integrations(&self, actor: &Actor, query: &IntegrationQuery) -> Result<Vec<Integration>> {
        actor.require(Permission::ReadIntegrations)?;
        let all = self.inner.store.integrations(actor.organization, self.now()).await.map_err(refused)?;
        let text = query.q.as_deref().unwrap_or_default().trim().to_lowercase();
        let fits = |integration: &Integration| {
            query.kind.is_none_or(|kind| integration.kind == kind)
                && query.status.is_none_or(|status| integration.status == status)
                && (text.is_empty()
                    || integration.name.to_lowercase().contains(&text)
                    || integration.provider.contains(&text)
                    || integration.kind.label().to_lowercase().contains(&text)
                    || self.provider(&integration.provider).is_ok_and(|p| p.name.to_lowercase().contains(&text)))
        };
        Ok(all.into_iter().filter(fits).collect())
    }

    /// What a list says of all integrations, by name.
    pub async fn integration_lines(&self, actor: &Actor) -> Result<Vec<IntegrationLine>> {
        actor.require(Permission::ReadIntegrations)?;
        self.inner.store.integration_lines(actor.organization, self.now()).await.map_err(refused)
    }

    /// How many integrations there are, and how they are.
    pub async fn integration_summary(&self, actor: &Actor) -> Result<IntegrationSummary> {
        actor.require(Permission::ReadIntegrations)?;
        self.inner.store.integration_summary(actor.organization, self.now()).await.map_err(refused)
    }

    /// One integration.
    pub async fn integration(&self, actor: &Actor, id: IntegrationId) -> Result<Integration> {
        actor.require(Permission::ReadIntegrations)?;
        Ok(self.find_integration(actor.organization, id).await?.integration)
    }

    /// Configures a provider. Its health is checked at once.
    pub async fn create_integration(&self, actor: &Actor, draft: IntegrationDraft) -> Result<Integration> {
        actor.require(Permission::WriteIntegrations)?;
        let checked = self.check_integration(actor.organization, draft, None).await?;
        let (id, now) = (self.new_id(), self.now());
        let Checked { provider, name, config, secrets, draft } = checked;
        let mark = |(name, value): (&String, &Secret)| (name.clone(), mark_of(value, now));
        let step = |text: &String| RunbookStep { text: text.clone(), done: false };
        let integration = Integration {
            id,
            kind: provider.kind,
            provider: provider.id.clone(),
            name,
            config,
            secrets: secrets.iter().map(mark).collect(),
            state: draft.state,
            status: match draft.state {
                IntegrationState::Active => IntegrationStatus::Active,
                IntegrationState::Disabled => IntegrationStatus::Disabled,
            },
            health: Health::Unknown,
            health_since: now,
            pulse: Pulse::unknown(now),
            last_checked_at: None,
            last_good_at: None,
            last_latency_ms: None,
            last_error: None,
            last_fault: None,
            next_check_at: first_check(id, draft.state, draft.check_interval_s, now),
            check_interval_s: draft.check_interval_s,
            depends_on: draft.depends_on,
            maintenance_until: None,
            runbook: provider.runbook.iter().map(step).collect(),
            status_note: String::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let audit = self.audit_entry(actor, "integration.created", &id, &["name", "config", "secrets", "state"]);
        let sealed = self.inner.seal_secrets(id, &secrets);
        let stored = self.inner.store.create_integration(actor.organization, integration.clone(), sealed, audit);
        stored.await.map_err(refused)?;
        self.inner.live.send(actor.organization, LiveEvent::Integrations);
        if integration.state == IntegrationState::Active {
            self.inner.check_soon(actor.organization, id);
        }
        Ok(integration)
    }

    /// Changes an integration into what the draft says. With `version`, only if that is the one that is stored.
    pub async fn update_integration(
        &self,
        actor: &Actor,
        id: IntegrationId,
        draft: IntegrationDraft,
    ) -> Result<Integration> {
        actor.require(Permission::WriteIntegrations)?;
        let row = self.find_integration(actor.organization, id).await?;
        let stored = row.integration.clone();
        if draft.version.is_some_and(|version| version != stored.version) {
            return Err(refused(storage::StoreError::Stale));
        }
        let old = self.inner.open_secrets(&row)?;
        let Checked { name, config, secrets, draft, .. } =
            self.check_integration(actor.organization, draft, Some((&stored, &old))).await?;
        let now = self.now();
        let is_new = |name: &String, value: &Secret| old.get(name).is_none_or(|old| old.expose() != value.expose());
        let mark = |(name, value): (&String, &Secret)| {
            let kept = stored.secrets.get(name).filter(|_| !is_new(name, value)).cloned();
            (name.clone(), kept.unwrap_or_else(|| mark_of(value, now)))
        };
        let marks: BTreeMap<String, SecretMark> = secrets.iter().map(mark).collect();
        let mut fields = Vec::new();
        for (field, differs) in [
            ("name", stored.name != name),
            ("config", stored.config != config),
            ("secrets", stored.secrets != marks),
            ("check_interval_s", stored.check_interval_s != draft.check_interval_s),
            ("depends_on", stored.depends_on != draft.depends_on),
            ("state", stored.state != draft.state),
        ] {
            if differs {
                fields.push(field);
            }
        }
        if fields.is_empty() {
            return Ok(stored);
        }
        let is_rescheduled = stored.state != draft.state || stored.check_interval_s != draft.check_interval_s;
        let changed = Integration {
            name,
            config,
            secrets: marks,
            next_check_at: if is_rescheduled {
                first_check(id, draft.state, draft.check_interval_s, now)
            } else {
                stored.next_check_at
            },
            state: draft.state,
            check_interval_s: draft.check_interval_s,
            depends_on: draft.depends_on,
            updated_at: now,
            ..stored
        };
        let sealed = fields.contains(&"secrets").then(|| self.inner.seal_secrets(id, &secrets));
        self.store_change(actor, changed, sealed, "integration.updated", &fields).await?;
        self.inner.look_at_failover(actor.organization, id).await;
        let changed = self.integration(actor, id).await?;
        if changed.state == IntegrationState::Active {
            self.inner.check_soon(actor.organization, id);
        }
        Ok(changed)
    }

    /// Switches an integration on or off.
    pub async fn set_integration_state(
        &self,
        actor: &Actor,
        id: IntegrationId,
        state: IntegrationState,
    ) -> Result<Integration> {
        actor.require(Permission::WriteIntegrations)?;
        let stored = self.find_integration(actor.organization, id).await?.integration;
        if stored.state == state {
            return Ok(stored);
        }
        let action = match state {
            IntegrationState::Active => "integration.enabled",
            IntegrationState::Disabled => "integration.disabled",
        };
        let next_check_at = first_check(id, state, stored.check_interval_s, self.now());
        let changed = Integration { state, next_check_at, ..stored };
        self.store_change(actor, changed, None, action, &["state"]).await?;
        match state {
            IntegrationState::Active => self.inner.check_soon(actor.organization, id),
            // Nobody is to be told of what was switched off.
            IntegrationState::Disabled => self.inner.resolve_alerts_of(actor.organization, id).await,
        }
        self.inner.look_at_failover(actor.organization, id).await;
        self.integration(actor, id).await
    }

    /// Says that somebody works on an integration for `hours` (0 ends it): nothing that fails meanwhile counts.
    pub async fn set_maintenance(&self, actor: &Actor, id: IntegrationId, hours: u32) -> Result<Integration> {
        actor.require(Permission::OperateIntegrations)?;
        if hours > MAX_MAINTENANCE_HOURS {
            return Err(Problems::one("hours", "Maintenance can last at most 168 hours (7 days)").into());
        }
        let stored = self.find_integration(actor.organization, id).await?.integration;
        let until = (hours > 0).then(|| self.now().plus_ms(i64::from(hours) * 3_600_000));
        let changed = Integration { maintenance_until: until, ..stored };
        self.store_change(actor, changed, None, "integration.maintenance", &["maintenance_until"]).await?;
        if until.is_some() {
            self.inner.resolve_alerts_of(actor.organization, id).await;
        }
        self.integration(actor, id).await
    }

    /// Changes the emergency procedure, and what members are told.
    pub async fn set_runbook(&self, actor: &Actor, id: IntegrationId, draft: RunbookDraft) -> Result<Integration> {
        actor.require(Permission::OperateIntegrations)?;
        draft.validate()?;
        let audit = self.audit_entry(actor, "integration.runbook", &id, &["runbook", "status_note"]);
        if !self.inner.store.set_runbook(actor.organization, id, draft, audit).await.map_err(refused)? {
            return Err(ApiError::not_found("Integration"));
        }
        self.inner.live.send(actor.organization, LiveEvent::Integrations);
        self.integration(actor, id).await
    }

    /// Deletes an integration with its secrets.
    pub async fn delete_integration(&self, actor: &Actor, id: IntegrationId) -> Result<()> {
        actor.require(Permission::WriteIntegrations)?;
        let audit = self.audit_entry(actor, "integration.deleted", &id, &[]);
        let deleted = self.inner.store.delete_integration(actor.organization, id, self.now(), audit);
        if !deleted.await.map_err(refused)? {
            return Err(ApiError::not_found("Integration"));
        }
        self.inner.look_at_failover(actor.organization, id).await;
        self.inner.live.send(actor.organization, LiveEvent::Integrations);
        Ok(())
    }

    /// Shows a stored secret to a member who gives their password again. That it was shown is in the audit log before it
    /// is. Of a reference, the reference is shown.
    pub async fn reveal_integration_secret(
        &self,
        actor: &Actor,
        id: IntegrationId,
        name: &str,
        password: &str,
    ) -> Result<String> {
        actor.require(Permission::ReadSecrets)?;
        let row = self.find_integration(actor.organization, id).await?;
        let Who::Member { email, .. } = &actor.who else {
            return Err(ApiError::new(
                ErrorCode::Forbidden,
                "Only a member who gives their password can see a secret.",
            ));
        };
        if !self.is_password_of(email, password).await? {
            return Err(Problems::one("password", "Password is incorrect").into());
        }
        let secrets = self.inner.open_secrets(&row)?;
        let secret = secrets.get(name).ok_or_else(|| ApiError::not_found("Secret"))?;
        let audit = self.audit_entry(actor, "integration.secret_revealed", &id, &[name]);
        self.inner.store.record(actor.organization, audit).await.map_err(refused)?;
        Ok(secret.expose().to_owned())
    }

    /// Makes a new secret where that is ours to make, and shows it once. Where the provider makes it, says where.
    pub async fn regenerate_secret(&self, actor: &Actor, id: IntegrationId, name: &str) -> Result<String> {
        actor.require(Permission::WriteIntegrations)?;
        let row = self.find_integration(actor.organization, id).await?;
        let provider = self.provider(&row.integration.provider)?;
        let field =
            provider.field(name).filter(|field| field.is_secret()).ok_or_else(|| ApiError::not_found("Secret"))?;
        if !field.regenerate {
            let place = provider.keys_page.as_deref().map(|url| format!(" at {url}")).unwrap_or_default();
            let detail = format!("{} makes this secret. Make a new one{place} and enter it here.", provider.name);
            return Err(ApiError::new(ErrorCode::Conflict, detail));
        }
        let secret = secrets::webhook_secret(&*self.inner.entropy);
        let mut all = self.inner.open_secrets(&row)?;
        all.insert(name.to_owned(), secret.clone());
        let mut changed = row.integration;
        changed.secrets.insert(name.to_owned(), mark_of(&secret, self.now()));
        changed.updated_at = self.now();
        let sealed = self.inner.seal_secrets(id, &all);
        self.store_change(actor, changed, Some(sealed), "integration.secret_regenerated", &[name]).await?;
        Ok(secret.expose().to_owned())
    }

    pub(crate) async fn find_integration(
        &self,
        organization: OrganizationId,
        id: IntegrationId,
    ) -> Result<IntegrationRow> {
        let found = self.inner.store.integration(organization, id, self.now()).await.map_err(refused)?;
        found.ok_or_else(|| ApiError::not_found("Integration"))
    }

    async fn store_change(
        &self,
        actor: &Actor,
        changed: Integration,
        sealed: Option<SealedSecrets>,
        action: &'static str,
        fields: &[&str],
    ) -> Result<()> {
        let audit = self.audit_entry(actor, action, &changed.id, fields);
        let stored = self.inner.store.update_integration(actor.organization, changed, sealed, audit);
        if !stored.await.map_err(refused)? {
            return Err(ApiError::not_found("Integration"));
        }
        self.inner.live.send(actor.organization, LiveEvent::Integrations);
        Ok(())
    }

    /// Checks all of a draft; with what is stored, as a change of it.
    async fn check_integration(
        &self,
        organization: OrganizationId,
        mut draft: IntegrationDraft,
        stored: Option<(&Integration, &Secrets)>,
    ) -> Result<Checked> {
        let mut problems = draft.check();
        let id = stored.map_or(draft.provider.trim(), |(stored, _)| &stored.provider).to_owned();
        let Some(provider) = self.inner.providers.provider(&id).cloned() else {
            let empty = if draft.kind == Some(domain::catalogue::IntegrationType::Email) {
                "Please select an email provider"
            } else {
                "Please select a provider"
            };
            let message = if id.is_empty() { empty.to_owned() } else { format!("Unknown provider: {id}") };
            problems.add("provider", message);
            return Err(problems.into());
        };
        if draft.kind.is_some_and(|kind| kind != provider.kind) {
            problems.add("type", format!("{} is for {}", provider.name, provider.kind));
        }
        if stored.is_some() && !draft.provider.is_empty() && draft.provider != provider.id {
            problems.add("provider", "The provider of an integration cannot be changed; add another integration");
        }
        let mut secrets = stored.map(|(_, secrets)| secrets.clone()).unwrap_or_default();
        // A secret that was put among the settings is taken for what it is, and never stored in the clear.
        for field in provider.fields.iter().filter(|field| field.is_secret()) {
            if let Some(Value::String(text)) = draft.config.remove(&field.name) {
                draft.secrets.entry(field.name.clone()).or_insert(Some(text));
            }
        }
        for (name, value) in &draft.secrets {
            if provider.field(name).is_none_or(|field| !field.is_secret()) {
                problems.add(&format!("secrets.{name}"), format!("{} has no secret {name}", provider.name));
            } else if let Some(value) = value {
                if value.trim().is_empty() {
                    secrets.remove(name);
                } else {
                    secrets.insert(name.clone(), Secret::new(value.trim()));
                }
            }
        }
        for field in provider.fields.iter().filter(|field| field.is_secret()) {
            let length = secrets.get(&field.name).map_or(0, |secret| secret.expose().chars().count());
            if let Some(max) = field.max_length.filter(|max| length > *max) {
                let message = format!("{} must be at most {max} characters", field.label);
                problems.add(&format!("secrets.{}", field.name), message);
            }
        }
        let config = provider.with_defaults(std::mem::take(&mut draft.config));
        if let Err(wrong) = validate_config(&provider, &config, |name| secrets.contains_key(name)) {
            for problem in wrong.into_vec() {
                problems.add(&problem.field, problem.message);
            }
        } else {
            self.check_urls(&provider, &config, &mut problems).await;
        }
        if let Some(parent) = draft.depends_on {
            self.check_parent(organization, parent, stored.map(|(stored, _)| stored.id), &mut problems).await?;
        }
        let name = draft.name.trim();
        let name = match (name.is_empty(), stored) {
            (false, _) => name.to_owned(),
            (true, Some((stored, _))) => stored.name.clone(),
            (true, None) => provider.name.clone(),
        };
        problems.or(Checked { provider, name, config, secrets, draft }).map_err(ApiError::from)
    }

    /// URLs may lead only to where requests may go.
    async fn check_urls(&self, provider: &Provider, config: &Config, problems: &mut Problems) {
        for field in provider.fields.iter().filter(|field| field.kind == FieldKind::Url) {
            let Some(text) = config.get(&field.name).and_then(Value::as_str).filter(|text| !text.is_empty()) else {
                continue;
            };
            let refusal = match Url::parse(text) {
                Ok(url) => self.inner.client.guard().check_url(&url).await.err().map(|refusal| refusal.to_string()),
                Err(_) => Some("Please enter a valid HTTPS URL".to_owned()),
            };
            if let Some(refusal) = refusal {
                problems.add(&format!("config.{}", field.name), refusal);
            }
        }
    }

    /// What something depends on is there, and does not depend on it in turn.
    async fn check_parent(
        &self,
        organization: OrganizationId,
        parent: IntegrationId,
        own: Option<IntegrationId>,
        problems: &mut Problems,
    ) -> Result<()> {
        let all = self.inner.store.integrations(organization, self.now()).await.map_err(refused)?;
        let mut next = Some(parent);
        for _ in 0..=all.len() {
            let Some(id) = next else { return Ok(()) };
            if Some(id) == own {
                problems.add("depends_on", "An integration cannot depend on itself");
                return Ok(());
            }
            let Some(found) = all.iter().find(|integration| integration.id == id) else {
                problems.add("depends_on", format!("Unknown integration: {id}"));
                return Ok(());
            };
            next = found.depends_on;
        }
        Ok(())
    }
}

/// A draft that was checked, in its stored form.
struct Checked {
    provider: Arc<Provider>,
    name: String,
    config: Config,
    secrets: Secrets,
    draft: IntegrationDraft,
}

/// When something is checked first by the clock of its interval. What was just made or changed is checked at once besides.
fn first_check(id: IntegrationId, state: IntegrationState, interval_s: u32, now: Timestamp) -> Option<Timestamp> {
    let in_interval = || now.plus_ms(first_check_ms(id.uuid().as_u128(), interval_s));
    (state == IntegrationState::Active).then(in_interval)
}

fn mark_of(secret: &Secret, now: Timestamp) -> SecretMark {
    let is_reference =
        domain::SecretSource::parse(secret.expose()).is_ok_and(|source| source != domain::SecretSource::Stored);
    SecretMark { reference: is_reference.then(|| secret.expose().to_owned()), set_at: now }
}

impl Inner {
    /// Nobody is to be told any more of what was wrong with an integration.
    async fn resolve_alerts_of(&self, organization: OrganizationId, id: IntegrationId) {
        for rule in
            [domain::AlertRule::IntegrationDown, domain::AlertRule::IntegrationSlow, domain::AlertRule::ErrorRate]
        {
            let ended = self.store.resolve_alert(organization, rule, id.to_string(), self.clock.now()).await;
            if let Err(error) = ended {
                tracing::warn!(%error, integration.id = %id, "an alert stays open that is over");
            }
        }
        self.live.send(organization, LiveEvent::Alerts);
    }

    fn seal_secrets(&self, id: IntegrationId, secrets: &Secrets) -> SealedSecrets {
        let plain: BTreeMap<&String, &str> = secrets.iter().map(|(name, value)| (name, value.expose())).collect();
        let text = Secret::new(serde_json::to_string(&plain).expect("texts by name are JSON"));
        let seal = || self.keyring.seal(&*self.entropy, "integrations", "secrets", id.uuid(), text.expose());
        (!secrets.is_empty()).then(seal)
    }

    pub(crate) fn open_secrets(&self, row: &IntegrationRow) -> Result<Secrets> {
        let Some(sealed) = &row.secrets else { return Ok(Secrets::new()) };
        let id = row.integration.id;
        let cannot = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, integration.id = %id, "the secrets of an integration cannot be read");
            let detail = "The secrets of this integration cannot be read. The server's log says more.";
            ApiError::new(ErrorCode::Internal, detail)
        };
        let text = self.keyring.open("integrations", "secrets", id.uuid(), sealed).map_err(|error| cannot(&error))?;
        let plain: BTreeMap<String, String> = serde_json::from_str(text.expose()).map_err(|error| cannot(&error))?;
        Ok(plain.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
    }
}
