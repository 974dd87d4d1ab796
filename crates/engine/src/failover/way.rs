//! Which integration is to do a piece of work: the one that was asked for, or whoever stands in for it.

use domain::{IntegrationId, IntegrationState, OrganizationId, Timestamp, catalogue::Fault, failover::is_repeatable};
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
        /// Why, in words for people.
        detail: String,
        /// What was wrong the last time.
        fault: Fault,
    },
}

/// Whether a piece of work that may be done is done again by whoever stands in: as its channel says.
pub(crate) fn is_repeated(inner: &Inner, row: &IntegrationRow, is_grouped: bool) -> bool {
    let provider = inner.providers.provider(&row.integration.provider);
    is_grouped && provider.and_then(|provider| provider.channel.as_deref()).is_some_and(is_repeatable)
}

impl Inner {
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
            let primary = group.name(group.board.primary());
            return Ok(Some(Way::Wait {
                // Whoever probes it says more in a moment.
                until: until.max(now.plus_ms(1_000)),
                detail: format!("Neither {primary} nor a backup works; it goes out when one of them does"),
                fault: row.integration.last_fault.unwrap_or(Fault::Outage),
            }));
        }
        Ok(row.map(|row| Way::Through { row: Box::new(row), is_grouped }))
    }
}
