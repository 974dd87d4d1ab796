//! What is shown of a group, and what keeps a member from doing the work.

use domain::{
    IntegrationId, OrganizationId, Permission,
    api::{Failover, FailoverMember, Integration},
    catalogue::Fault,
    failover::{Board, FailoverRules, MemberStatus},
    health::Health,
};
use storage::{FailoverRow, IntegrationRow, Seat};

use crate::{Actor, Engine, Inner, Result, error::refused, integrations};

impl Engine {
    pub(super) async fn failover_view(&self, organization: OrganizationId, id: IntegrationId) -> Result<Failover> {
        let asked = self.find_integration(organization, id).await?.integration;
        let stored = self.inner.store.failover_of(organization, id).await.map_err(refused)?;
        let is_configured = stored.is_some();
        let row = stored.unwrap_or_else(|| alone(organization, &asked));
        let (board, primary) = (&row.board, row.board.primary());
        let mut members = Vec::with_capacity(row.seats.len());
        let mut warnings = Vec::new();
        for seat in &row.seats {
            let found = self.inner.store.integration(organization, seat.id, self.now()).await.map_err(refused)?;
            if seat.id != primary {
                match self.inner.fit(&row, seat.id, found.clone()).await {
                    Ok(IntegrationRow { integration, .. }) if integration.health == Health::Down => {
                        let error = integration.last_error.unwrap_or_else(|| "its checks fail".to_owned());
                        warnings.push(format!("{} is down: {error}", integration.name));
                    }
                    Ok(_) => {}
                    Err(reason) => warnings.push(format!("{reason}, so it cannot take over")),
                }
            }
            members.push(self.member_view(&row, seat.id, found.map(|row| row.integration)));
        }
        let mut backups = board.members.iter().map(|member| member.id).filter(|member| *member != primary);
        Ok(Failover {
            channel: self.provider(&asked.provider)?.channel.clone(),
            is_configured,
            primary_integration_id: primary,
            backup_integration_id: backups.next(),
            further_backup_ids: backups.collect(),
            rules: row.rules,
            active_integration_id: board.active,
            active_since: board.since,
            mode: board.mode(),
            pinned_until: board.pin.and_then(|pin| pin.until),
            is_flapping: board.is_flapping,
            is_all_down: board.is_all_down,
            members,
            warnings,
            version: row.version,
        })
    }

    /// Who could stand in for an integration, by name: of the same channel, and in no other group.
    pub async fn failover_candidates(&self, actor: &Actor, id: IntegrationId) -> Result<Vec<(IntegrationId, String)>> {
        actor.require(Permission::ReadIntegrations)?;
        let organization = actor.organization;
        let own = self.find_integration(organization, id).await?.integration;
        let channel_of = |provider: &str| self.inner.providers.provider(provider).and_then(|it| it.channel.clone());
        let Some(channel) = channel_of(&own.provider) else { return Ok(Vec::new()) };
        let store = &self.inner.store;
        let group = store.failover_of(organization, id).await.map_err(refused)?;
        let taken = store.failover_members(organization).await.map_err(refused)?;
        let is_free = |candidate: IntegrationId| {
            let is_ours = group.as_ref().is_some_and(|group| group.board.member(candidate).is_some());
            candidate != id && (is_ours || taken.iter().all(|(member, _)| *member != candidate))
        };
        let all = store.integrations(organization, self.now()).await.map_err(refused)?;
        let fitting =
            all.into_iter().filter(|one| is_free(one.id) && channel_of(&one.provider).as_ref() == Some(&channel));
        Ok(fitting.map(|one| (one.id, one.name)).collect())
    }

    fn member_view(&self, row: &FailoverRow, id: IntegrationId, found: Option<Integration>) -> FailoverMember {
        let provider = found.as_ref().and_then(|found| self.inner.providers.provider(&found.provider));
        let known = row.board.member(id);
        FailoverMember {
            integration_id: id,
            name: row.name(id),
            provider_name: provider.map(|provider| provider.name.clone()).unwrap_or_default(),
            target: provider
                .zip(found.as_ref())
                .and_then(|(provider, found)| integrations::target(provider, &found.config))
                .unwrap_or_default(),
            status: match row.board.status(id, row.ability(id)) {
                // A standby whose checks fail could not take over.
                MemberStatus::Standby if found.as_ref().is_some_and(|it| it.health == Health::Down) => {
                    MemberStatus::Down
                }
                status => status,
            },
            health: found.as_ref().map_or(Health::Unknown, |found| found.health),
            last_error: found.and_then(|found| found.last_error),
            failures: known.map_or(0, |member| member.failures),
            good: known.map_or(0, |member| member.good),
            next_probe_at: known.and_then(|member| member.next_probe_at),
        }
    }
}

impl Inner {
    /// `found`, which was read for a member, if it could do the work as far as that can be known without asking it; or why it
    /// cannot.
    pub(super) async fn fit(
        &self,
        row: &FailoverRow,
        id: IntegrationId,
        found: Option<IntegrationRow>,
    ) -> std::result::Result<IntegrationRow, String> {
        let name = row.name(id);
        let deleted = || "This backup was deleted".to_owned();
        match row.ability(id) {
            Err(MemberStatus::Missing) => return Err(deleted()),
            Err(_) => return Err(format!("{name} is disabled")),
            Ok(()) => {}
        }
        let found = found.ok_or_else(deleted)?;
        let opened = match self.open_secrets(&found) {
            Ok(secrets) => integrations::values(self, &found.integration.config, &secrets).await.map(drop),
            Err(error) => Err(error.detail),
        };
        opened.map_err(|reason| format!("{name} is not complete: {reason}"))?;
        if found.integration.last_fault == Some(Fault::Misconfigured) {
            let reason = found.integration.last_error.clone().unwrap_or_default();
            return Err(format!("{name} is not complete: {reason}"));
        }
        Ok(found)
    }
}

/// An integration that nobody stands in for.
fn alone(organization: OrganizationId, integration: &Integration) -> FailoverRow {
    FailoverRow {
        // Never stored.
        id: domain::PublicId::new(integration.created_at, [0; 10]),
        organization,
        rules: FailoverRules::default(),
        board: Board::new(integration.id, &[], integration.created_at),
        seats: vec![Seat { id: integration.id, integration: Some((integration.name.clone(), integration.state)) }],
        version: 0,
    }
}
