//! Dead letters: listing them, sending them again, clearing them, and taking a clear back.
//!
//! They come into being in `hot`, when a try is settled. Whatever takes one away does so by [`Letters::revive`] or
//! [`Letters::bury`], and [`Letters::exhume`] brings one back; these keep the counts in step with the rows. On PostgreSQL rows are locked in the order of their
//! ids before they are changed, and counts are written in key order, so that two transactions never wait for each
//! other in a circle.

use std::collections::{BTreeMap, HashSet};

use domain::{
    DeliveryId, OrganizationId, PublicId, Timestamp, WebhookId, WebhookState,
    api::{DeadLetterCount, DeadLetterFilter, Delivery, Page, Refusal},
    delivery::DeliveryState,
};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::word,
    db::{reading, writing},
    deliveries::{COLUMNS, DELETED_WEBHOOK, Row, origin},
    hot::push_ids,
    keyset,
};

/// A dead letter as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// The delivery.
    pub delivery: Delivery,
    /// When it was given up.
    pub died_at: Timestamp,
}

#[derive(FromRow)]
struct ListedRow {
    #[sqlx(flatten)]
    delivery: Row,
    died_at: i64,
}

impl TryFrom<ListedRow> for DeadLetterRow {
    type Error = StoreError;
    fn try_from(row: ListedRow) -> Result<Self> {
        Ok(Self { delivery: row.delivery.try_into()?, died_at: Timestamp::from_millis(row.died_at) })
    }
}

/// What was done to dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Those that were retried, cleared or restored, with their webhooks.
    pub done: Vec<(DeliveryId, WebhookId)>,
    /// Those that were not, and ids that are no dead letters.
    pub refused: Vec<(DeliveryId, Refusal)>,
    /// Webhooks of those that were retried which are disabled because their endpoints failed: they are held until a
    /// probe succeeds.
    pub failing: Vec<WebhookId>,
}

/// What is not done, and why.
type Refusals = Vec<(DeliveryId, Refusal)>;

/// A dead letter that is about to be moved.
#[derive(FromRow)]
pub(crate) struct Letter {
    pub(crate) delivery_id: Uuid,
    pub(crate) webhook_id: Uuid,
    webhook_state: Option<String>,
    probe_at: Option<i64>,
    has_payload: bool,
}

impl Letter {
    /// Why it cannot be sent again.
    fn refusal(&self) -> Result<Option<Refusal>> {
        refusal(self.webhook_state.as_deref(), self.probe_at, self.has_payload)
    }

    /// Whether its webhook is disabled because the endpoint failed.
    pub(crate) const fn is_failing(&self) -> bool {
        self.probe_at.is_some()
    }
}

/// Why something cannot be sent again to a webhook in this state; `None`: the webhook is deleted. A webhook that is disabled
/// because its endpoint failed is no reason: the endpoint is probed with what is sent again.
pub(crate) fn refusal(
    webhook_state: Option<&str>,
    probe_at: Option<i64>,
    has_payload: bool,
) -> Result<Option<Refusal>> {
    let Some(state) = webhook_state else { return Ok(Some(Refusal::WebhookDeleted)) };
    Ok(match word("webhooks", "state", state)? {
        WebhookState::Paused => Some(Refusal::WebhookPaused),
        WebhookState::Disabled if probe_at.is_none() => Some(Refusal::WebhookDisabled),
        WebhookState::Active | WebhookState::Disabled if !has_payload => Some(Refusal::PayloadGone),
        WebhookState::Active | WebhookState::Disabled => None,
    })
}

/// Cuts letters into those that can be sent again and those that cannot.
pub(crate) fn judge(letters: Vec<Letter>) -> Result<(Vec<Letter>, Refusals)> {
    let (mut fit, mut refused) = (Vec::with_capacity(letters.len()), Vec::new());
    for letter in letters {
        match letter.refusal()? {
            None => fit.push(letter),
            Some(refusal) => refused.push((DeliveryId::from_uuid(letter.delivery_id), refusal)),
        }
    }
    Ok((fit, refused))
}

/// A connection of either database, as far as dead letters need it. Everything happens inside the caller's transaction.
pub(crate) trait Letters: Send {
    /// Those of `ids` that are dead letters, in order, locked until the transaction ends.
    fn letters(
        &mut self,
        organization: OrganizationId,
        ids: &[Uuid],
    ) -> impl Future<Output = Result<Vec<Letter>>> + Send;

    /// Queues dead letters again, due at `now`: with a new round of tries, before which all that were made count as earlier
    /// ones.
    fn revive(
        &mut self,
        organization: OrganizationId,
        letters: &[Letter],
        now: Timestamp,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Ends dead letters as discarded.
    fn bury(&mut self, organization: OrganizationId, letters: &[Letter]) -> impl Future<Output = Result<()>> + Send;

    /// Makes those of `ids` dead letters again that are discarded and no tests, as of when they ended. Answers them, with
    /// their webhooks.
    fn exhume(
        &mut self,
        organization: OrganizationId,
        ids: &[Uuid],
    ) -> impl Future<Output = Result<Vec<(Uuid, Uuid)>>> + Send;

    /// Takes dead letters out of the list and of the counts.
    fn unlist(&mut self, organization: OrganizationId, letters: &[Letter]) -> impl Future<Output = Result<()>> + Send;

    /// Adds `each` to the count of a webhook for every time it is named.
    fn recount(
        &mut self,
        organization: OrganizationId,
        webhooks: Vec<Uuid>,
        each: i64,
    ) -> impl Future<Output = Result<()>> + Send;
}

macro_rules! letters {
    ($($connection:ty, $lock:literal;)*) => {$(
        impl Letters for $connection {
            async fn letters(&mut self, organization: OrganizationId, ids: &[Uuid]) -> Result<Vec<Letter>> {
                if ids.is_empty() {
                    return Ok(Vec::new());
                }
                let mut sql = QueryBuilder::new(
                    "select l.delivery_id, l.webhook_id, w.state as webhook_state, w.probe_at, e.id is not null as has_payload \
                     from (select delivery_id, webhook_id from dead_letters where organization_id = ",
                );
                sql.push_bind(organization.uuid());
                push_ids!(sql, " and delivery_id in (", ids);
                sql.push(concat!(" order by delivery_id", $lock));
                sql.push(
                    ") l join deliveries d on d.id = l.delivery_id left join webhooks w on w.id = l.webhook_id \
                     left join events e on e.id = d.event_id order by l.delivery_id",
                );
                Ok(sql.build_query_as().fetch_all(self).await?)
            }

            async fn revive(&mut self, organization: OrganizationId, letters: &[Letter], now: Timestamp) -> Result<()> {
                if letters.is_empty() {
                    return Ok(());
                }
                self.unlist(organization, letters).await?;
                let mut sql = QueryBuilder::new("update deliveries set state = 'pending', finished_at = null");
                push_ids!(sql, " where id in (", letters.iter().map(|letter| letter.delivery_id));
                sql.build().execute(&mut *self).await?;
                let mut sql = QueryBuilder::new(
                    "insert into queue (delivery_id, organization_id, webhook_id, due_at, earlier_attempts) \
                     select id, organization_id, webhook_id, ",
                );
                sql.push_bind(now.millis());
                push_ids!(sql, ", attempts from deliveries where id in (", letters.iter().map(|letter| letter.delivery_id));
                sql.build().execute(self).await?;
                Ok(())
            }

            async fn bury(&mut self, organization: OrganizationId, letters: &[Letter]) -> Result<()> {
                if letters.is_empty() {
                    return Ok(());
                }
                self.unlist(organization, letters).await?;
                let mut sql = QueryBuilder::new("update deliveries set state = 'discarded'");
                push_ids!(sql, " where id in (", letters.iter().map(|letter| letter.delivery_id));
                sql.build().execute(self).await?;
                Ok(())
            }

            async fn exhume(&mut self, organization: OrganizationId, ids: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>> {
                if ids.is_empty() {
                    return Ok(Vec::new());
                }
                let mut sql = QueryBuilder::new("select id, webhook_id from deliveries where organization_id = ");
                sql.push_bind(organization.uuid());
                push_ids!(sql, " and id in (", ids);
                sql.push(concat!(" and state = 'discarded' and kind <> 'test' order by id", $lock));
                let found: Vec<(Uuid, Uuid)> = sql.build_query_as().fetch_all(&mut *self).await?;
                if found.is_empty() {
                    return Ok(found);
                }
                let mut sql = QueryBuilder::new("update deliveries set state = 'dead_letter'");
                push_ids!(sql, " where id in (", found.iter().map(|(id, _)| *id));
                sql.build().execute(&mut *self).await?;
                let mut sql = QueryBuilder::new(
                    "insert into dead_letters (organization_id, delivery_id, webhook_id, died_at) \
                     select organization_id, id, webhook_id, finished_at from deliveries",
                );
                push_ids!(sql, " where id in (", found.iter().map(|(id, _)| *id));
                sql.build().execute(&mut *self).await?;
                self.recount(organization, found.iter().map(|(_, webhook)| *webhook).collect(), 1).await?;
                Ok(found)
            }

            async fn unlist(&mut self, organization: OrganizationId, letters: &[Letter]) -> Result<()> {
                let mut sql = QueryBuilder::new("delete from dead_letters where organization_id = ");
                sql.push_bind(organization.uuid());
                push_ids!(sql, " and delivery_id in (", letters.iter().map(|letter| letter.delivery_id));
                sql.build().execute(&mut *self).await?;
                self.recount(organization, letters.iter().map(|letter| letter.webhook_id).collect(), -1).await
            }

            async fn recount(&mut self, organization: OrganizationId, webhooks: Vec<Uuid>, each: i64) -> Result<()> {
                let mut counts = BTreeMap::<Uuid, i64>::new();
                for webhook in webhooks {
                    *counts.entry(webhook).or_default() += each;
                }
                QueryBuilder::new("insert into dead_letter_counts (organization_id, webhook_id, dead_letters) ")
                    .push_values(counts, |mut row, (webhook, more)| {
                        row.push_bind(organization.uuid()).push_bind(webhook).push_bind(more);
                    })
                    .push(
                        " on conflict (organization_id, webhook_id) do update set \
                         dead_letters = dead_letter_counts.dead_letters + excluded.dead_letters",
                    )
                    .build()
                    .execute(self)
                    .await?;
                Ok(())
            }
        }
    )*};
}
letters! {
    sqlx::SqliteConnection, "";
    sqlx::PgConnection, " for update";
}

/// Webhooks of `letters` whose endpoints failed, each once.
pub(crate) fn failing(letters: &[Letter]) -> Vec<WebhookId> {
    let mut failing: Vec<_> =
        letters.iter().filter(|letter| letter.is_failing()).map(|letter| letter.webhook_id).collect();
    failing.sort_unstable();
    failing.dedup();
    failing.into_iter().map(WebhookId::from_uuid).collect()
}

fn moved(letters: &[Letter], refused: Refusals, ids: &[DeliveryId]) -> Moved {
    let done = letters.iter().map(|letter| (letter.delivery_id, letter.webhook_id));
    Moved { failing: failing(letters), ..answer(done, refused, ids, Refusal::NotDeadLetter) }
}

/// What was done, and that the rest of `ids` was not there.
fn answer(
    done: impl Iterator<Item = (Uuid, Uuid)>,
    mut refused: Refusals,
    ids: &[DeliveryId],
    missing: Refusal,
) -> Moved {
    let done: Vec<_> = done.map(|(id, webhook)| (DeliveryId::from_uuid(id), WebhookId::from_uuid(webhook))).collect();
    let found: HashSet<_> = done.iter().map(|(id, _)| *id).chain(refused.iter().map(|(id, _)| *id)).collect();
    refused.extend(ids.iter().filter(|id| !found.contains(id)).map(|id| (*id, missing)));
    Moved { done, refused, failing: Vec::new() }
}

impl Store {
    /// Dead letters, the newest delivery first.
    pub async fn dead_letters(
        &self,
        organization: OrganizationId,
        filter: &DeadLetterFilter,
        before: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Page<DeadLetterRow>> {
        let rows: Vec<ListedRow> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(COLUMNS);
            sql.push(", l.died_at from ").push(origin(Some(DeliveryState::DeadLetter))).push_bind(organization.uuid());
            sql.push(" and l.delivery_id < ").push_bind(keyset::before(before));
            if let Some(webhook) = filter.webhook_id {
                sql.push(" and l.webhook_id = ").push_bind(webhook.uuid());
            }
            if let Some(event) = &filter.event {
                sql.push(" and d.event_type = ").push_bind(event.clone());
            }
            if let Some(error) = filter.error {
                sql.push(" and d.error = ").push_bind(error.as_str());
            }
            if let Some(from) = filter.from {
                sql.push(" and l.delivery_id >= ").push_bind(keyset::first_id(from));
            }
            if let Some(to) = filter.to {
                sql.push(" and l.delivery_id < ").push_bind(keyset::first_id(to));
            }
            sql.push(" order by l.delivery_id desc limit ").push_bind(keyset::one_more(limit));
            sql.build_query_as().fetch_all(db).await
        })?;
        keyset::page(rows, limit, |letter: &DeadLetterRow| letter.delivery.id.to_string())
    }

    /// Webhooks that have dead letters, the most first. Nothing is counted for it.
    pub async fn dead_letter_counts(&self, organization: OrganizationId) -> Result<Vec<DeadLetterCount>> {
        let rows: Vec<(Uuid, Option<String>, i64)> = reading!(self, db => sqlx::query_as(
            "select c.webhook_id, w.name, c.dead_letters from dead_letter_counts c \
             left join webhooks w on w.id = c.webhook_id \
             where c.organization_id = $1 and c.dead_letters > 0 order by c.dead_letters desc, c.webhook_id",
        )
        .bind(organization.uuid())
        .fetch_all(db)
        .await)?;
        Ok(rows
            .into_iter()
            .map(|(webhook, name, dead_letters)| DeadLetterCount {
                webhook_id: WebhookId::from_uuid(webhook),
                webhook_name: name.unwrap_or_else(|| DELETED_WEBHOOK.to_owned()),
                dead_letters,
            })
            .collect())
    }

    /// Queues dead letters again, all in one transaction: the same deliveries, with a new round of tries. The entry is
    /// written if there was any.
    pub async fn retry_dead_letters(
        &self,
        organization: OrganizationId,
        ids: Vec<DeliveryId>,
        now: Timestamp,
        audit: NewAudit,
    ) -> Result<Moved> {
        writing!(self, conn => {
            let found = conn.letters(organization, &ids.iter().map(|id| id.uuid()).collect::<Vec<_>>()).await?;
            let (letters, refused) = judge(found)?;
            conn.revive(organization, &letters, now).await?;
            if !letters.is_empty() {
                audit::append(conn, organization, &audit).await?;
            }
            Ok(moved(&letters, refused, &ids))
        })
    }

    /// Ends dead letters as discarded, all in one transaction. An entry is written if there is one to write and any was
    /// cleared.
    pub async fn clear_dead_letters(
        &self,
        organization: OrganizationId,
        ids: Vec<DeliveryId>,
        audit: Option<NewAudit>,
    ) -> Result<Moved> {
        writing!(self, conn => {
            let letters = conn.letters(organization, &ids.iter().map(|id| id.uuid()).collect::<Vec<_>>()).await?;
            conn.bury(organization, &letters).await?;
            if let Some(audit) = audit.filter(|_| !letters.is_empty()) {
                audit::append(conn, organization, &audit).await?;
            }
            Ok(moved(&letters, Vec::new(), &ids))
        })
    }

    /// Makes discarded deliveries dead letters again, all in one transaction, as of when they ended: what a clear that was
    /// a mistake needs. The entry is written if there was any.
    pub async fn restore_dead_letters(
        &self,
        organization: OrganizationId,
        ids: Vec<DeliveryId>,
        audit: NewAudit,
    ) -> Result<Moved> {
        writing!(self, conn => {
            let restored = conn.exhume(organization, &ids.iter().map(|id| id.uuid()).collect::<Vec<_>>()).await?;
            if !restored.is_empty() {
                audit::append(conn, organization, &audit).await?;
            }
            Ok(answer(restored.into_iter(), Vec::new(), &ids, Refusal::NotDiscarded))
        })
    }
}
