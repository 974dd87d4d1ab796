//! Rounds: checks of all integrations of an organization at once.
//!
//! A round is one row, and a mark on the health of each integration that it asks. Checks that were asked for are taken like
//! those that are due, by any node, and answer the mark with their result: so how far a round came is counted and never
//! stored twice, and a restart changes nothing.

use domain::{
    OrganizationId, PublicId, Timestamp,
    api::{CheckRound, JobState},
    health::Verdict,
};

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::word,
    db::{reading, writing},
};

#[derive(sqlx::FromRow)]
struct Row {
    started_at: i64,
    started_by: String,
    cancelled_at: Option<i64>,
}

/// A result of the round, or `None` for those that wait; how many, and when the last of them came.
type Count = (Option<String>, i64, Option<i64>);

fn round(row: Row, counts: &[Count]) -> Result<CheckRound> {
    let (mut waiting, mut found, mut last_at) = (0, [0; 4], row.started_at);
    for (answered, count, at) in counts {
        last_at = last_at.max(at.unwrap_or_default());
        match answered {
            None => waiting += count,
            Some(text) => found[word::<Verdict>("integration_health", "answered", text)? as usize] += count,
        }
    }
    let of = |verdict: Verdict| found[verdict as usize];
    let checked = found.iter().sum();
    let (state, finished_at) = match row.cancelled_at {
        Some(at) => (JobState::Cancelled, Some(at)),
        None if waiting == 0 => (JobState::Done, Some(last_at)),
        None => (JobState::Running, None),
    };
    Ok(CheckRound {
        state,
        total: checked + waiting,
        checked,
        healthy: of(Verdict::Healthy),
        degraded: of(Verdict::Degraded),
        suspect: of(Verdict::Suspect),
        down: of(Verdict::Down),
        started_by: row.started_by,
        started_at: Timestamp::from_millis(row.started_at),
        finished_at: finished_at.map(Timestamp::from_millis),
    })
}

/// Reads a round, inside `reading!` as inside `writing!`: `$executor` is evaluated twice.
macro_rules! read_round {
    ($executor:expr, $organization:expr) => {{
        let row: Option<Row> =
            sqlx::query_as("select started_at, started_by, cancelled_at from check_rounds where organization_id = $1")
                .bind($organization.uuid())
                .fetch_optional($executor)
                .await?;
        match row {
            None => None,
            Some(row) => {
                // What was disabled before it was checked is not waited for.
                let counts: Vec<Count> = sqlx::query_as(
                    "select answered, count(*), max(answered_at) from integration_health \
                     where organization_id = $1 and asked_at = $2 \
                     and (next_check_at is not null or answered is not null) group by answered",
                )
                .bind($organization.uuid())
                .bind(row.started_at)
                .fetch_all($executor)
                .await?;
                Some(round(row, &counts)?)
            }
        }
    }};
}

impl Store {
    /// Begins a round, or finds the one that goes on. The flag says whether it was begun.
    pub async fn begin_check_round(
        &self,
        organization: OrganizationId,
        by: String,
        audit: NewAudit,
    ) -> Result<(CheckRound, bool)> {
        writing!(self, conn => {
            let now = audit.at;
            // The row is there and locked before it is looked at: two who begin at once begin one round.
            sqlx::query(
                "insert into check_rounds (organization_id, started_at, started_by) values ($1, 0, '') \
                 on conflict (organization_id) do update set started_by = check_rounds.started_by",
            )
            .bind(organization.uuid())
            .execute(&mut *conn)
            .await?;
            if let Some(round) = read_round!(&mut *conn, organization)
                && round.state == JobState::Running
            {
                return Ok((round, false));
            }
            sqlx::query(
                "update check_rounds set started_at = $2, started_by = $3, cancelled_at = null where organization_id = $1",
            )
            .bind(organization.uuid())
            .bind(now.millis())
            .bind(&by)
            .execute(&mut *conn)
            .await?;
            sqlx::query(
                "update integration_health set asked_at = $2, answered = null, answered_at = null \
                 where organization_id = $1 and next_check_at is not null",
            )
            .bind(organization.uuid())
            .bind(now.millis())
            .execute(&mut *conn)
            .await?;
            audit::append(conn, organization, &audit).await?;
            let begun = read_round!(&mut *conn, organization);
            Ok((begun.expect("its row was written in this transaction"), true))
        })
    }

    /// The last round of an organization, if there ever was one.
    pub async fn check_round(&self, organization: OrganizationId) -> Result<Option<CheckRound>> {
        reading!(self, db => async { Ok::<_, StoreError>(read_round!(db, organization)) }.await)
    }

    /// Ends a round: what was not checked is not asked for any more. `false`: none goes on.
    pub async fn cancel_check_round(&self, organization: OrganizationId, audit: NewAudit) -> Result<bool> {
        writing!(self, conn => {
            let Some(round) = read_round!(&mut *conn, organization) else { return Ok(false) };
            if round.state != JobState::Running {
                return Ok(false);
            }
            sqlx::query(
                "update integration_health set asked_at = null \
                 where organization_id = $1 and asked_at is not null and answered is null",
            )
            .bind(organization.uuid())
            .execute(&mut *conn)
            .await?;
            sqlx::query("update check_rounds set cancelled_at = $2 where organization_id = $1")
                .bind(organization.uuid())
                .bind(audit.at.millis())
                .execute(&mut *conn)
                .await?;
            audit::append(conn, organization, &audit).await?;
            Ok(true)
        })
    }
}
