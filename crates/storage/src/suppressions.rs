//! Who does not want e-mail: addresses to which nothing is sent, and categories that recipients unsubscribed from. Addresses
//! are in small letters.

use domain::{
    OrganizationId, PublicId, Timestamp,
    api::{Page, Suppression, SuppressionQuery, SuppressionReason},
};

use sqlx::QueryBuilder;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::{WHOLE_LIST, anywhere, word},
    db::{reading, writing},
    keyset,
};

/// The category that stands for all of them.
pub(crate) const EVERYTHING: &str = "*";

#[derive(sqlx::FromRow)]
struct Row {
    email: String,
    reason: String,
    detail: String,
    created_at: i64,
}

impl TryFrom<Row> for Suppression {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            reason: word("suppressions", "reason", &row.reason)?,
            email: row.email,
            detail: row.detail,
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

/// Why a recipient is not to get an e-mail of a category, asked inside a `writing!` body: `None` if they are. Without a
/// category it is one that they need, and only addresses that cannot be reached are left out.
macro_rules! unwanted {
    ($conn:expr, $organization:expr, $email:expr, $category:expr) => {{
        let (email, category): (&str, Option<&str>) = ($email, $category);
        let reason: Option<String> =
            sqlx::query_scalar("select reason from suppressions where organization_id = $1 and email = $2")
                .bind($organization.uuid())
                .bind(email)
                .fetch_optional(&mut *$conn)
                .await?;
        match (reason, category) {
            (Some(reason), _) => Some(format!("The address is on the suppression list: {reason}")),
            (None, None) => None,
            (None, Some(category)) => {
                let stopped: Option<String> = sqlx::query_scalar(
                    "select category from email_preferences where organization_id = $1 and email = $2 \
                     and category in ($3, $4) limit 1",
                )
                .bind($organization.uuid())
                .bind(email)
                .bind(category)
                .bind(crate::suppressions::EVERYTHING)
                .fetch_optional(&mut *$conn)
                .await?;
                stopped.map(|_| format!("The recipient has unsubscribed from {category}"))
            }
        }
    }};
}
pub(crate) use unwanted;

/// Puts an address on the list inside a `writing!` body. The first reason stays.
macro_rules! suppress {
    ($conn:expr, $organization:expr, $email:expr, $reason:expr, $detail:expr, $now:expr) => {
        sqlx::query(
            "insert into suppressions (organization_id, email, reason, detail, created_at) \
             values ($1, $2, $3, $4, $5) on conflict (organization_id, email) do nothing",
        )
        .bind($organization.uuid())
        .bind($email)
        .bind($reason.as_str())
        .bind($detail)
        .bind($now.millis())
        .execute(&mut *$conn)
        .await?
    };
}
pub(crate) use suppress;

/// Notes inside a `writing!` body that a recipient does not want a category.
macro_rules! unsubscribe {
    ($conn:expr, $organization:expr, $email:expr, $category:expr, $now:expr) => {
        sqlx::query(
            "insert into email_preferences (organization_id, email, category, unsubscribed_at) \
             values ($1, $2, $3, $4) on conflict (organization_id, email, category) do nothing",
        )
        .bind($organization.uuid())
        .bind($email)
        .bind($category)
        .bind($now.millis())
        .execute(&mut *$conn)
        .await?
    };
}
pub(crate) use unsubscribe;

impl Store {
    /// Addresses to which nothing is sent, by address, from after the query's `cursor` on. Its `limit` is not read: it comes
    /// checked, beside it.
    pub async fn suppressions(
        &self,
        organization: OrganizationId,
        query: &SuppressionQuery,
        limit: u32,
    ) -> Result<Page<Suppression>> {
        let rows: Vec<Row> = reading!(self, db => {
            let mut sql = QueryBuilder::<Dialect>::new(
                "select email, reason, detail, created_at from suppressions where organization_id = ",
            );
            sql.push_bind(organization.uuid());
            sql.push(" and email > ").push_bind(query.cursor.as_deref().unwrap_or_default());
            if let Some(text) = &query.q {
                sql.push(" and email like ").push_bind(anywhere(text)).push(" escape '\\'");
            }
            if let Some(reason) = query.reason {
                sql.push(" and reason = ").push_bind(reason.as_str());
            }
            sql.push(" order by email limit ").push_bind(keyset::one_more(limit));
            sql.build_query_as().fetch_all(db).await
        })?;
        keyset::page(rows, limit, |suppression: &Suppression| suppression.email.clone())
    }

    /// Puts an address on the list; one that is there stays as it is. Answers whether it was put there.
    pub async fn suppress(
        &self,
        organization: OrganizationId,
        email: String,
        detail: String,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let done = suppress!(conn, organization, email, SuppressionReason::Manual, detail, audit.at);
            if done.rows_affected() > 0 {
                audit::append(conn, organization, &audit).await?;
            }
            Ok(done.rows_affected() > 0)
        })
    }

    /// Takes an address from the list. `false`: it is not there.
    pub async fn unsuppress(&self, organization: OrganizationId, email: String, audit: NewAudit) -> Result<bool> {
        writing!(self, conn => {
            let done = sqlx::query("delete from suppressions where organization_id = $1 and email = $2")
                .bind(organization.uuid())
                .bind(email)
                .execute(&mut *conn)
                .await?;
            if done.rows_affected() > 0 {
                audit::append(conn, organization, &audit).await?;
            }
            Ok(done.rows_affected() > 0)
        })
    }

    /// Notes that a recipient does not want a category, or with `None` any of them.
    pub async fn unsubscribe(
        &self,
        organization: OrganizationId,
        email: String,
        category: Option<String>,
        now: Timestamp,
    ) -> Result<()> {
        writing!(self, conn => {
            let category = category.as_deref().unwrap_or(EVERYTHING);
            unsubscribe!(conn, organization, email, category, now);
            Ok(())
        })
    }

    /// Notes that a recipient wants a category again; with `None` all of them.
    pub async fn subscribe(&self, organization: OrganizationId, email: String, category: Option<String>) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "delete from email_preferences where organization_id = $1 and email = $2 \
                 and ($3 is null or category = $3)",
            )
            .bind(organization.uuid())
            .bind(email)
            .bind(category)
            .execute(&mut *conn)
            .await?;
            Ok(())
        })
    }

    /// The categories that a recipient does not want; `*` is all of them.
    pub async fn unsubscribed(&self, organization: OrganizationId, email: &str) -> Result<Vec<String>> {
        Ok(reading!(self, db => sqlx::query_scalar(
            "select category from email_preferences where organization_id = $1 and email = $2 order by category \
             limit $3",
        )
        .bind(organization.uuid())
        .bind(email)
        .bind(WHOLE_LIST)
        .fetch_all(db)
        .await)?)
    }
}
