//! Which integration is to do a piece of work: the one that was asked for, or whoever stands in for it.

use domain::{IntegrationId, IntegrationState, OrganizationId, Timestamp, api::Integration, catalogue::Fault};
use storage::IntegrationRow;

use crate::Inner;

/// Where a piece of work goes.
pub(crate) enum Way {
    /// Through this one.
    Through {
        /// The integration.
        row: Box<IntegrationRow>,
        /// Whether others stand in for it.
        is_grouped: bool,
    },
    /// Nobody is known to work: the work waits.
    Wait {
        /// Until then.
        until: Timestamp,
        /// Whose work it is.
        primary: String,
        /// What was wrong the last time.
        fault: Fault,
    },
}

impl Inner {
    /// Whether an integration is one of a channel's.
    pub(crate) fn is_of_channel(&self, integration: &Integration, channel: &str) -> bool {
        let provider = self.providers.provider(&integration.provider);
        provider.is_some_and(|provider| provider.channel.as_deref() == Some(channel))
    }

    /// The way of a channel's work: through the integration that was named, or through the first one by name that can. Who only
    /// stands in for others comes last.
    pub(crate) async fn way_of_channel(
        &self,
        organization: OrganizationId,
        named: Option<IntegrationId>,
        channel: &str,
    ) -> storage::Result<Option<Way>> {
        let is_able = |way: &Way| match way {
            Way::Wait { .. } => true,
            Way::Through { row, .. } => self.is_of_channel(&row.integration, channel),
        };
        if let Some(id) = named {
            return Ok(self.way(organization, id).await?.filter(is_able));
        }
        let members = self.store.failover_members(organization).await?;
        let mut all = self.store.integrations(organization, self.clock.now()).await?;
        all.sort_by_key(|integration| members.contains(&(integration.id, false)));
        for integration in all.iter().filter(|integration| self.is_of_channel(integration, channel)) {
            let found = self.way(organization, integration.id).await?.filter(is_able);
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The way of work that was asked of an integration; `None`: it is not there, or switched off, and nobody stands in.
    pub(crate) async fn way(&self, organization: OrganizationId, asked: IntegrationId) -> storage::Result<Option<Way>> {
        let now = self.clock.now();
        let group = self.store.failover_of(organization, asked).await?;
        let is_grouped = group.is_some();
        let chosen = group.as_ref().map_or(asked, |group| group.board.active);
        let row = self.store.integration(organization, chosen, now).await?;
        let row = row.filter(|row| row.integration.state == IntegrationState::Active);
        if let (Some(group), Some(row)) = (&group, &row)
            && let Some(until) = group.board.wait_until(group.rules)
        {
            return Ok(Some(Way::Wait {
                // Whoever probes it says more in a moment.
                until: until.max(now.plus_ms(1_000)),
                primary: group.name(group.board.primary()),
                fault: row.integration.last_fault.unwrap_or(Fault::Outage),
            }));
        }
        Ok(row.map(|row| Way::Through { row: Box::new(row), is_grouped }))
    }
}
