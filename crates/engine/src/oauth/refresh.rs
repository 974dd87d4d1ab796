//! Keeping connections alive. Whoever needs an access token gets one that lives, and however many ask, on however many nodes,
//! a refresh token is presented once: providers that rotate them end the whole grant when one comes twice.
//!
//! In this process the callers of one connection queue; among nodes the refresh is leased in the database, noted before it is
//! sent, and stored only under the lease's fence. A refresh that has begun is finished, whoever stops waiting for it.

use std::{sync::Arc, time::Duration};

use domain::{
    IntegrationId, LEAST_LEFT_MS, OrganizationId, PublicId, REFRESH_LEASE_MS, RefreshFault, Timestamp,
    api::{LogKind, LogLevel},
    catalogue::Rotation,
    retry_at,
};
use storage::{ConnectionRow, IntegrationRow, NewLogEntry, RefreshLease, Refreshed, StoreError};
use tokio::time::Instant;

use super::{
    application::Application,
    disconnect,
    exchange::{Exchanged, exchange_refresh_token},
};
use crate::{Inner, LiveEvent, secrets::Secret, stopped_within};

/// Longest pause between two looks.
const POLL: Duration = Duration::from_secs(1);
/// Refreshes of one node at a time.
const AT_ONCE: u32 = 16;
/// How long a caller waits for a refresh that another node is at.
const PATIENCE: Duration = Duration::from_secs(12);
/// Between two looks whether it is done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Between two tries to store what a provider gave.
const STORE_AGAIN: Duration = Duration::from_millis(500);
/// Callers of different connections seldom wait for each other: this many can be at it at once.
pub(crate) const STRIPES: usize = 64;

/// An access token that lives.
pub(super) struct Access {
    pub token: Secret,
    pub expires_at: Timestamp,
    /// Of which generation: whoever is refused with it says so, and only then it is refreshed.
    pub generation: i64,
    /// The connection it belongs to.
    pub connection: ConnectionRow,
}

/// Why there is none.
pub(super) enum NoAccess {
    /// No account has consented.
    NotConnected,
    /// Somebody has to do something.
    Broken { problem: String },
    /// It may be there later.
    Later { detail: String, retry_after_s: u32 },
    /// The database did not do its part.
    Store(StoreError),
}

impl From<StoreError> for NoAccess {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Runs until the engine stops: refreshes what is due, and ends rights that could not be ended at once.
pub(crate) async fn run(inner: Arc<Inner>) {
    while !stopped_within(&inner, POLL).await {
        if let Err(error) = refresh_due(&inner).await {
            tracing::error!(%error, "refreshes wait for the database");
        }
        if let Err(error) = disconnect::revoke_due(&inner).await {
            tracing::error!(%error, "revocations wait for the database");
        }
    }
}

async fn refresh_due(inner: &Arc<Inner>) -> storage::Result<()> {
    let now = inner.clock.now();
    let mut running = tokio::task::JoinSet::new();
    for (organization, integration, generation) in inner.store.due_refreshes(now, AT_ONCE).await? {
        let Some(row) = inner.store.integration(organization, integration, now).await? else { continue };
        let inner = Arc::clone(inner);
        running.spawn(async move { drop(inner.refresh_now(&row, generation).await) });
    }
    running.join_all().await;
    Ok(())
}

/// Whether the token that is stored can be used at all, and was not refused.
fn still_lives(connection: &ConnectionRow, used: Option<i64>, now: Timestamp) -> bool {
    used != Some(connection.generation) && connection.expires_at.is_some_and(|end| end > now)
}

impl Inner {
    /// An access token that lives for a minute at least. `used` is the generation of one that was refused: it is not given
    /// out again.
    pub(super) async fn access(self: &Arc<Self>, row: &IntegrationRow, used: Option<i64>) -> Result<Access, NoAccess> {
        let (organization, id) = (row.organization, row.integration.id);
        let connection = self.stored_connection(organization, id).await?;
        if let Some(access) = self.given_out(&connection, used)? {
            return Ok(access);
        }
        let stripe = usize::try_from(id.uuid().as_u128() % STRIPES as u128).unwrap_or_default();
        let _queue = self.refreshing[stripe].lock().await;
        let connection = self.stored_connection(organization, id).await?;
        if let Some(access) = self.given_out(&connection, used)? {
            return Ok(access);
        }
        let now = self.clock.now();
        // After a failure nobody asks again before its time: a dead connection must not be hammered.
        if let Some(next) = connection.refresh_at.filter(|next| connection.failures > 0 && *next > now) {
            return self.still(&connection, used, now, next);
        }
        match self.refresh_now(row, connection.generation).await {
            Ok(()) => {}
            Err(NoAccess::Later { .. }) if still_lives(&connection, used, now) => {}
            Err(no) => return Err(no),
        }
        let connection = self.stored_connection(organization, id).await?;
        match self.given_out(&connection, used)? {
            Some(access) => Ok(access),
            None => self.still(&connection, used, now, now.plus_ms(1_000)),
        }
    }

    /// One with little time left, if there is no better one.
    fn still(
        &self,
        connection: &ConnectionRow,
        used: Option<i64>,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<Access, NoAccess> {
        if still_lives(connection, used, now)
            && let Some(access) = self.opened(connection)
        {
            return Ok(access);
        }
        let seconds = (next.since_ms(now) / 1_000).clamp(1, 3_600);
        Err(NoAccess::Later {
            detail: "The provider does not renew the access at the moment. It is tried again.".to_owned(),
            retry_after_s: u32::try_from(seconds).unwrap_or(1),
        })
    }

    async fn stored_connection(
        &self,
        organization: OrganizationId,
        id: IntegrationId,
    ) -> Result<ConnectionRow, NoAccess> {
        self.store.connection(organization, id).await?.ok_or(NoAccess::NotConnected)
    }

    /// The token that is stored, if it can be given out.
    fn given_out(&self, connection: &ConnectionRow, used: Option<i64>) -> Result<Option<Access>, NoAccess> {
        let Some(end) = connection.expires_at.filter(|_| connection.access_token.is_some()) else {
            return Err(NoAccess::NotConnected);
        };
        if !connection.status.is_usable() {
            let problem = connection.problem.clone().unwrap_or_else(|| connection.status.label().to_owned());
            return Err(NoAccess::Broken { problem });
        }
        let (now, can_refresh) = (self.clock.now(), connection.refresh_token.is_some());
        // One that lives for less than two minutes from the beginning is fresh until its refresh is due.
        let is_young = connection.failures == 0 && connection.refresh_at.is_some_and(|due| now < due);
        let is_good = end.since_ms(now) >= LEAST_LEFT_MS || (end > now && (is_young || !can_refresh));
        if used != Some(connection.generation) && is_good {
            return Ok(self.opened(connection));
        }
        if can_refresh {
            return Ok(None);
        }
        Err(NoAccess::Broken {
            problem: "The access has ended, and nothing can renew it. Reconnect the account.".to_owned(),
        })
    }

    fn opened(&self, connection: &ConnectionRow) -> Option<Access> {
        let sealed = connection.access_token.as_ref()?;
        let token = self.open_access_token(connection.integration.uuid(), sealed)?;
        let (expires_at, generation) = (connection.expires_at?, connection.generation);
        Some(Access { token, expires_at, generation, connection: connection.clone() })
    }

    /// Refreshes the tokens of `generation`, or waits for whoever does.
    pub(super) async fn refresh_now(self: &Arc<Self>, row: &IntegrationRow, generation: i64) -> Result<(), NoAccess> {
        let (organization, id) = (row.organization, row.integration.id);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (attempt, now) = (self.new_id::<domain::LogEntryId>().uuid(), self.clock.now());
            let lease = self.store.lease_refresh(organization, id, generation, attempt, self.node(), now).await?;
            if let Some(lease) = lease {
                let (inner, row) = (Arc::clone(self), row.clone());
                let refresh = self.tasks.spawn(async move { inner.refresh_leased(&row, lease).await });
                return refresh.await.unwrap_or_else(|error| {
                    tracing::error!(%error, integration.id = %id, "a refresh ended early");
                    Err(NoAccess::Later { detail: "The refresh ended early.".to_owned(), retry_after_s: 1 })
                });
            }
            let connection = self.stored_connection(organization, id).await?;
            if connection.access_token.is_none() {
                return Err(NoAccess::NotConnected);
            }
            if connection.generation != generation {
                return Ok(());
            }
            if connection.refresh_token.is_none() {
                let problem = "Nothing can renew this access: the provider gave no refresh token.".to_owned();
                return Err(NoAccess::Broken { problem });
            }
            if !connection.status.is_usable() {
                self.given_out(&connection, Some(generation))?;
            }
            if Instant::now() >= deadline {
                let detail = "Another node is refreshing this connection. Try again.".to_owned();
                return Err(NoAccess::Later { detail, retry_after_s: 2 });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Sends the refresh, and stores what became of it.
    async fn refresh_leased(&self, row: &IntegrationRow, lease: RefreshLease) -> Result<(), NoAccess> {
        let until = Instant::now() + Duration::from_millis(REFRESH_LEASE_MS.unsigned_abs());
        let connection = &lease.connection;
        let provider = self.providers.provider(&row.integration.provider).map(|provider| provider.name.clone());
        let provider = provider.unwrap_or_else(|| row.integration.provider.clone());
        let id = connection.integration.uuid();
        let token = connection.refresh_token.as_ref().and_then(|sealed| self.open_refresh_token(id, sealed));
        let outcome = match (Application::of(self, row, &connection.known).await, token) {
            (Ok(application), Some(token)) => {
                let answer = exchange_refresh_token(self, &application, &token).await;
                self.judged(row, &lease, &application, answer).await
            }
            (Err(detail), _) => self.fault(&lease, &provider, RefreshFault::Configuration, false, detail, None),
            (_, None) => {
                let detail = "The stored token cannot be read".to_owned();
                self.fault(&lease, &provider, RefreshFault::Revoked, false, detail, None)
            }
        };
        let entry = self.refresh_entry(row, &outcome);
        let told = match &outcome {
            Refreshed::Tokens(_) => Ok(()),
            Refreshed::Fault { problem: Some(problem), .. } => Err(NoAccess::Broken { problem: problem.clone() }),
            Refreshed::Fault { detail, .. } => {
                let detail = format!("{provider} did not renew the access: {detail}");
                Err(NoAccess::Later { detail, retry_after_s: 30 })
            }
        };
        // What a provider gave once it may not give again: it is stored however long the database is away.
        let stored = loop {
            match self.store.settle_refresh(&lease, outcome.clone()).await {
                Ok(stored) => break stored,
                Err(error) if Instant::now() < until => {
                    tracing::warn!(%error, integration.id = %connection.integration, "new tokens wait for the database");
                    tokio::time::sleep(STORE_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        if !stored {
            tracing::warn!(
                integration.id = %connection.integration,
                fence = connection.fence,
                "a refresh ended after its lease: what it brought is kept beside its note"
            );
        }
        self.write_log(row.organization, entry).await;
        self.live.send(row.organization, LiveEvent::Connections);
        if stored { told } else { Ok(()) }
    }

    async fn judged(
        &self,
        row: &IntegrationRow,
        lease: &RefreshLease,
        application: &Application,
        answer: Exchanged<super::tokens::Tokens>,
    ) -> Refreshed {
        let provider = &application.provider;
        match answer {
            Exchanged::Answer(tokens) => {
                Refreshed::Tokens(tokens.to_store(self, application, row, self.clock.now(), true).await)
            }
            Exchanged::Refused { status, error, detail } => {
                let fault = match RefreshFault::of(Some(status), &error, &detail) {
                    RefreshFault::Revoked if lease.follows_unknown => RefreshFault::LostRotation,
                    fault => fault,
                };
                self.fault(lease, provider, fault, false, detail, None)
            }
            Exchanged::Unanswered { may_be_done, detail } => {
                let wait = may_be_done && application.oauth.rotation == Rotation::Strict;
                let end = lease.connection.expires_at.filter(|_| wait);
                self.fault(lease, provider, RefreshFault::Transient, may_be_done, detail, end)
            }
        }
    }

    fn fault(
        &self,
        lease: &RefreshLease,
        provider: &str,
        fault: RefreshFault,
        is_unanswered: bool,
        detail: String,
        in_use_until: Option<Timestamp>,
    ) -> Refreshed {
        let (now, failures) = (self.clock.now(), lease.connection.failures.saturating_add(1));
        let share = self.entropy.fraction();
        let again = retry_at(now, failures, share, in_use_until);
        let is_broken = fault.status().is_some();
        Refreshed::Fault {
            fault,
            is_unanswered,
            detail,
            problem: is_broken.then(|| fault.message(provider)),
            // What is misconfigured is tried again, slowly: whoever mends the application need not mend each connection.
            refresh_at: match fault {
                RefreshFault::Transient => Some(again),
                RefreshFault::Configuration => Some(retry_at(now, failures.max(7), share, None)),
                _ => None,
            },
        }
    }

    fn refresh_entry(&self, row: &IntegrationRow, outcome: &Refreshed) -> NewLogEntry {
        let (level, message, details, fault) = match outcome {
            Refreshed::Tokens(tokens) => {
                let details = [("Valid until".to_owned(), tokens.expires_at.to_string())].into();
                (LogLevel::Info, "The access was renewed".to_owned(), details, None)
            }
            Refreshed::Fault { fault, detail, problem, .. } => {
                let message = problem.clone().unwrap_or_else(|| "The access was not renewed".to_owned());
                let level = if problem.is_some() { LogLevel::Error } else { LogLevel::Warn };
                let details = [("Answer".to_owned(), detail.clone()), ("Class".to_owned(), fault.to_string())].into();
                (level, message, details, problem.is_some().then_some(domain::catalogue::Fault::Authentication))
            }
        };
        NewLogEntry {
            id: self.new_id(),
            integration: row.integration.id,
            level,
            kind: LogKind::Refresh,
            message,
            details,
            fault,
        }
    }
}
