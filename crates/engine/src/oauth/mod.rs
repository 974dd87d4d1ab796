//! Connections by OAuth 2.0: an account consents ([`connect`]), its access is kept alive ([`refresh`]), used ([`account`]) and
//! ended ([`disconnect`]). What providers do differently is data (`domain::catalogue::Oauth`).
//!
//! Tokens leave this module in two ways only: to the provider, and to a program with the scope `connections:token`.

mod account;
mod application;
mod connect;
mod disconnect;
mod exchange;
mod refresh;
mod tokens;

use domain::{
    ConnectionStatus, IntegrationId, Permission, Problems,
    api::{ApiError, ConnectionToken, ErrorCode, OauthConnection, PermissionMark, SyncSettings},
    catalogue::{ConnectionKind, FieldKind, Provider, fill},
};
use storage::{ConnectionRow, IntegrationRow};

pub(crate) use application::try_application;
pub use connect::{Callback, ConnectPage, Finished, Sent, Unfinished};
use refresh::NoAccess;
pub(crate) use refresh::{STRIPES, run};

use crate::{Actor, Engine, LiveEvent, Result, error::refused};

/// Longest id of a calendar.
const MAX_CALENDAR: usize = 1_000;

impl Engine {
    /// What has to be registered at a provider that is connected by OAuth, exactly as it is (UC §17).
    pub fn redirect_uri(&self, provider: &Provider) -> Option<String> {
        self.inner.providers.oauth(&provider.id).map(|_| self.inner.redirect_uri(&provider.id))
    }

    /// The connection of an integration. One that was never made is there too, as not connected.
    pub async fn oauth_connection(&self, actor: &Actor, id: IntegrationId) -> Result<OauthConnection> {
        actor.require(Permission::ReadIntegrations)?;
        let (row, provider) = self.oauth_integration(actor, id).await?;
        let connection = self.inner.store.connection(actor.organization, id).await.map_err(refused)?;
        let history = self.inner.store.refreshes(actor.organization, id).await.map_err(refused)?;
        Ok(self.shown(&row, &provider, connection, history))
    }

    fn shown(
        &self,
        row: &IntegrationRow,
        provider: &Provider,
        connection: Option<ConnectionRow>,
        history: Vec<domain::api::Refresh>,
    ) -> OauthConnection {
        let oauth = self.inner.providers.oauth(&provider.id).expect("a test holds: who is connected by OAuth says how");
        let field = provider.field("scopes");
        let settings = application::scopes(oauth, row.integration.config.get("scopes"));
        let connection = connection.unwrap_or_else(|| unconnected(row));
        let requested = if connection.requested.is_empty() { settings.clone() } else { connection.requested.clone() };
        let is_connected = connection.access_token.is_some();
        let missing = oauth.missing(&requested, &connection.granted);
        let named = field.filter(|field| field.kind == FieldKind::Choices);
        let offered = named.map_or_else(Vec::new, |field| field.options.clone());
        let label = |scope: &String| {
            let choice = offered.iter().find(|choice| choice.value == *scope);
            choice.map_or_else(|| scope.clone(), |choice| choice.label.clone())
        };
        let mut scopes: Vec<String> = offered.iter().map(|choice| choice.value.clone()).collect();
        let others = requested.iter().chain(&connection.granted).chain(&settings);
        for scope in others {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        let permissions = scopes
            .into_iter()
            .map(|scope| {
                let is_requested = requested.contains(&scope);
                let is_granted = is_connected
                    && (connection.granted.contains(&scope) || (is_requested && !missing.contains(&&scope)));
                let blocks = oauth.features.get(&scope).filter(|_| is_connected && !is_granted).cloned();
                PermissionMark { label: label(&scope), is_granted, is_requested, blocks, scope }
            })
            .collect();
        let soon = domain::CONSENT_WARNINGS_DAYS.into_iter().max().unwrap_or_default() * 86_400_000;
        let ends_soon = connection.consent_ends_at.is_some_and(|end| end.since_ms(self.now()) < soon);
        let is_over = connection.status.is_usable() && connection.expires_at.is_some_and(|end| end <= self.now());
        let is_late = is_over && connection.failures > 0;
        let status = match connection.status {
            // Nothing refreshes it.
            _ if is_over && connection.refresh_token.is_none() => ConnectionStatus::NeedsReauth,
            ConnectionStatus::Connected if ends_soon || is_late => ConnectionStatus::Expiring,
            status => status,
        };
        let problem = connection.problem.or_else(|| match status {
            // The words of UC §16.
            ConnectionStatus::NeedsReauth => Some(format!("Please reconnect your {} account", provider.name)),
            _ if is_late => {
                Some(format!("{} has not renewed the access, which has ended. It is tried again.", provider.name))
            }
            _ => None,
        });
        OauthConnection {
            status,
            problem,
            account: connection.account_name,
            redirect_uri: self.inner.redirect_uri(&provider.id),
            expires_at: connection.expires_at,
            consent_ends_at: connection.consent_ends_at,
            auto_refresh: connection.refresh_token.is_some() && status.is_usable(),
            next_refresh_at: connection.refresh_at,
            last_refresh: history.first().cloned(),
            requested_scopes: requested,
            granted_scopes: connection.granted,
            permissions,
            connected_at: connection.connected_at,
            connected_by: connection.connected_by,
            sync: connection.sync,
            has_calendars: oauth.calendars.as_ref().is_some_and(|listing| {
                // An address that is a field of the settings is there when that is filled in.
                let filled = row.integration.config.iter().filter(|(_, value)| value.as_str() != Some(""));
                let texts = filled.map(|(name, value)| (name.clone(), value.to_string())).collect();
                fill(&listing.url, &texts).is_some()
            }),
            access_page: oauth.access_page.clone(),
            history,
        }
    }

    /// Whether nothing but an account's consent makes an integration work.
    pub async fn needs_consent(&self, actor: &Actor, id: IntegrationId) -> Result<bool> {
        actor.require(Permission::ReadIntegrations)?;
        let row = self.find_integration(actor.organization, id).await?;
        if self.provider(&row.integration.provider)?.connection != ConnectionKind::Oauth {
            return Ok(false);
        }
        Ok(!self.oauth_connection(actor, id).await?.status.is_usable())
    }

    /// Changes what is done with an account.
    pub async fn set_sync(&self, actor: &Actor, id: IntegrationId, sync: SyncSettings) -> Result<OauthConnection> {
        actor.require(Permission::WriteIntegrations)?;
        self.oauth_integration(actor, id).await?;
        let sync = SyncSettings { calendar: sync.calendar.filter(|id| !id.trim().is_empty()), ..sync };
        if sync.calendar.as_ref().is_some_and(|id| id.len() > MAX_CALENDAR) {
            return Err(Problems::one("calendar", "The id of a calendar must be at most 1000 bytes").into());
        }
        let audit = self.audit_entry(actor, "connection.sync", &id, &["auto_sync", "calendar"]);
        if !self.inner.store.set_sync(actor.organization, id, sync, audit).await.map_err(refused)? {
            return Err(ApiError::new(ErrorCode::Conflict, "Connect an account first."));
        }
        self.inner.live.send(actor.organization, LiveEvent::Connections);
        self.oauth_connection(actor, id).await
    }

    /// Refreshes the access now, whatever its time.
    pub async fn refresh_connection(&self, actor: &Actor, id: IntegrationId) -> Result<OauthConnection> {
        actor.require(Permission::OperateIntegrations)?;
        let (row, provider) = self.oauth_integration(actor, id).await?;
        let generation = self.inner.store.connection(actor.organization, id).await.map_err(refused)?;
        let generation = generation.map_or(0, |connection| connection.generation);
        self.inner.refresh_now(&row, generation).await.map_err(|no| no.told(&provider.name))?;
        let audit = self.audit_entry(actor, "connection.refreshed", &id, &["access_token"]);
        self.inner.store.record(actor.organization, audit).await.map_err(refused)?;
        self.oauth_connection(actor, id).await
    }

    /// An access token for a program, good for a minute at least unless it lives for less than two. That it was given is in the audit log before it is.
    pub async fn connection_token(&self, actor: &Actor, id: IntegrationId) -> Result<ConnectionToken> {
        actor.require(Permission::UseConnections)?;
        let (row, provider) = self.oauth_integration(actor, id).await?;
        let kept = self.inner.providers.oauth(&provider.id).map_or(&[][..], |oauth| &oauth.keep);
        let access = self.inner.access(&row, None).await.map_err(|no| no.told(&provider.name))?;
        let audit = self.audit_entry(actor, "connection.token", &id, &["access_token"]);
        self.inner.store.record(actor.organization, audit).await.map_err(refused)?;
        Ok(ConnectionToken {
            access_token: access.token.expose().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_at: access.expires_at,
            account: access.connection.account_name,
            scopes: access.connection.granted,
            provider_data: access.connection.known.into_iter().filter(|(name, _)| kept.contains(name)).collect(),
            sync: access.connection.sync,
        })
    }

    /// An integration that is connected by OAuth.
    async fn oauth_integration(
        &self,
        actor: &Actor,
        id: IntegrationId,
    ) -> Result<(IntegrationRow, std::sync::Arc<Provider>)> {
        let row = self.find_integration(actor.organization, id).await?;
        let provider = self.provider(&row.integration.provider)?.clone();
        if provider.connection != ConnectionKind::Oauth {
            let detail = format!("{} is not connected by OAuth.", row.integration.name);
            return Err(ApiError::new(ErrorCode::Conflict, detail));
        }
        Ok((row, provider))
    }
}

fn unconnected(row: &IntegrationRow) -> ConnectionRow {
    ConnectionRow {
        organization: row.organization,
        integration: row.integration.id,
        status: ConnectionStatus::NotConnected,
        problem: None,
        account_id: None,
        account_name: None,
        client_id: String::new(),
        requested: Vec::new(),
        granted: Vec::new(),
        access_token: None,
        refresh_token: None,
        known: storage::Known::new(),
        generation: 0,
        expires_at: None,
        consent_ends_at: None,
        refresh_at: None,
        failures: 0,
        connected_at: None,
        connected_by: None,
        sync: SyncSettings::default(),
        fence: 0,
    }
}

impl NoAccess {
    /// What callers are told.
    fn told(self, provider: &str) -> ApiError {
        match self {
            Self::NotConnected => {
                ApiError::new(ErrorCode::Conflict, format!("Please connect your {provider} account first."))
            }
            Self::Broken { problem } => ApiError::new(ErrorCode::Conflict, problem),
            Self::Later { detail, retry_after_s } => {
                ApiError { retry_after_s: Some(retry_after_s), ..ApiError::new(ErrorCode::Unavailable, detail) }
            }
            Self::Store(error) => refused(error),
        }
    }
}
