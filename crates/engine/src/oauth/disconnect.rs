//! Ending a connection: its tokens are erased here in any case, and ended at the provider where that is possible and harms no
//! other connection. What could not be ended at once is tried again.

use std::sync::Arc;

use domain::{
    IntegrationId, Permission, PublicId, Revocation,
    api::{ApiError, Disconnected, ErrorCode, LogKind, LogLevel},
};
use storage::{ConnectionRow, DueRevocation, IntegrationRow, NewLogEntry, NewRevocation};

use super::{
    application::Application,
    exchange::{Exchanged, revoke},
};
use crate::{Actor, Engine, Inner, LiveEvent, Result, error::refused};

/// How often a provider is asked.
const TRIES: i64 = 8;
/// Between the first two tries, in milliseconds; each pause is twice as long as the one before.
const PAUSE_MS: i64 = 60_000;
/// Rights that one node ends in one go.
const BATCH: u32 = 8;

impl Engine {
    /// Ends the connection of an integration. Its settings stay, so that it can be connected again.
    pub async fn disconnect(&self, actor: &Actor, id: IntegrationId) -> Result<Disconnected> {
        actor.require(Permission::WriteIntegrations)?;
        let (row, provider) = self.oauth_integration(actor, id).await?;
        let connection = self.inner.store.connection(actor.organization, id).await.map_err(refused)?;
        let Some(connection) = connection.filter(|connection| connection.access_token.is_some()) else {
            return Err(ApiError::new(ErrorCode::Conflict, "No account is connected."));
        };
        let oauth = self.inner.providers.oauth(&provider.id);
        let is_shared = match &connection.account_id {
            Some(account) if oauth.is_some_and(|oauth| oauth.revokes_whole_grant) => {
                let siblings = self.inner.store.has_siblings(actor.organization, id, &connection.client_id, account);
                siblings.await.map_err(refused)?
            }
            _ => false,
        };
        let application = Application::of(&self.inner, &row, &connection.known).await;
        let can_revoke =
            application.as_ref().map_or(oauth.is_some_and(|oauth| oauth.revoke_url.is_some()), |application| {
                application.revoke_url.is_some()
            });
        let token = connection.refresh_token.clone().or_else(|| connection.access_token.clone());
        let revocation = (can_revoke && !is_shared).then_some(token).flatten().map(|token| NewRevocation {
            id: self.inner.new_id::<domain::LogEntryId>().uuid(),
            token,
            due_at: self.now().plus_ms(PAUSE_MS),
        });
        let audit = self.audit_entry(actor, "connection.disconnected", &id, &["access_token", "refresh_token"]);
        let erased = self.inner.store.disconnect(actor.organization, id, revocation.clone(), audit);
        if !erased.await.map_err(refused)? {
            return Err(ApiError::new(ErrorCode::Conflict, "No account is connected."));
        }
        let (outcome, said) = match (&revocation, is_shared) {
            (None, true) => (Revocation::SkippedShared, String::new()),
            (None, false) => (Revocation::Unsupported, String::new()),
            (Some(revocation), _) => {
                let due = DueRevocation {
                    id: revocation.id,
                    organization: actor.organization,
                    integration: id,
                    token: revocation.token.clone(),
                    known: connection.known.clone(),
                    tries: 0,
                };
                self.inner.end_right(&row, &connection, due).await
            }
        };
        let name = &provider.name;
        let message = match outcome {
            Revocation::Revoked => format!("{name} has ended the access, and the tokens were erased here."),
            Revocation::SkippedShared => format!(
                "The tokens were erased here. The access was not ended at {name}: another connection lives by it."
            ),
            Revocation::Failed => {
                format!("The tokens were erased here. {name} did not end the access ({said}); it is tried again.")
            }
            Revocation::Unsupported | Revocation::Nothing => {
                let place = oauth.and_then(|oauth| oauth.access_page.as_deref());
                let place = place.map(|page| format!(" The account's owner can at {page}.")).unwrap_or_default();
                format!("The tokens were erased here. {name} has no way to end the access from outside.{place}")
            }
        };
        self.inner.write_log(actor.organization, self.inner.settings_entry(id, message.clone())).await;
        self.inner.live.send(actor.organization, LiveEvent::Connections);
        Ok(Disconnected { revocation: outcome, message })
    }
}

/// Ends rights that could not be ended before.
pub(super) async fn revoke_due(inner: &Arc<Inner>) -> storage::Result<()> {
    let now = inner.clock.now();
    for due in inner.store.take_revocations(now, now.plus_ms(PAUSE_MS), BATCH).await? {
        let Some(row) = inner.store.integration(due.organization, due.integration, now).await? else { continue };
        let Some(connection) = inner.store.connection(due.organization, due.integration).await? else { continue };
        let (organization, id, integration, tries) = (due.organization, due.id, due.integration, due.tries);
        let (outcome, said) = inner.end_right(&row, &connection, due).await;
        if outcome == Revocation::Failed && tries >= TRIES {
            inner.store.end_revocation(organization, id).await?;
            let message = format!("The access was not ended at the provider after {tries} tries: {said}");
            let entry = inner.settings_entry(integration, message);
            inner.write_log(organization, NewLogEntry { level: LogLevel::Error, ..entry }).await;
        }
    }
    Ok(())
}

impl Inner {
    async fn end_right(
        &self,
        row: &IntegrationRow,
        connection: &ConnectionRow,
        due: DueRevocation,
    ) -> (Revocation, String) {
        let id = due.integration.uuid();
        // It was sealed as the one or the other.
        let token = self.open_refresh_token(id, &due.token).or_else(|| self.open_access_token(id, &due.token));
        let mut known = connection.known.clone();
        known.extend(due.known);
        let (outcome, said) = match (Application::of(self, row, &known).await, token) {
            (Ok(application), Some(token)) => match application.revoke_url.clone() {
                None => (Revocation::Unsupported, String::new()),
                Some(url) => match revoke(self, &application, url, &token).await {
                    Exchanged::Answer(()) => (Revocation::Revoked, String::new()),
                    // What is not known there any more is ended.
                    Exchanged::Refused { error, .. } if error == "invalid_token" => {
                        (Revocation::Revoked, String::new())
                    }
                    Exchanged::Refused { detail, .. } | Exchanged::Unanswered { detail, .. } => {
                        (Revocation::Failed, detail)
                    }
                },
            },
            (Err(detail), _) => (Revocation::Failed, detail),
            (_, None) => (Revocation::Nothing, String::new()),
        };
        if outcome != Revocation::Failed
            && let Err(error) = self.store.end_revocation(due.organization, due.id).await
        {
            tracing::warn!(%error, "a right that was ended is ended once more");
        }
        (outcome, said)
    }

    pub(super) fn settings_entry(&self, id: IntegrationId, message: String) -> NewLogEntry {
        NewLogEntry {
            id: self.new_id(),
            integration: id,
            level: LogLevel::Info,
            kind: LogKind::Settings,
            message,
            details: std::collections::BTreeMap::new(),
            fault: None,
        }
    }
}
