//! What members want to be told. Read where messages are written, in the same transaction.

use domain::{MemberId, NotificationPreferences, OrganizationId, PublicId};

use crate::{
    NewAudit, Result, Store, audit,
    columns::{json, to_json},
    db::{reading, writing},
};

/// Addresses of the members who said what they want, with that, inside a `writing!` body.
macro_rules! members_wishes {
    ($conn:expr, $organization:expr) => {{
        let rows: Vec<(String, String)> = sqlx::query_as(
            "select m.email, p.preferences from notification_preferences p join members m on m.id = p.member_id \
             where p.organization_id = $1 order by m.id",
        )
        .bind($organization.uuid())
        .fetch_all(&mut *$conn)
        .await?;
        let mut wishes: Vec<(String, domain::NotificationPreferences)> = Vec::with_capacity(rows.len());
        for (email, preferences) in rows {
            wishes.push((email, crate::columns::json("notification_preferences", "preferences", &preferences)?));
        }
        wishes
    }};
}
pub(crate) use members_wishes;

impl Store {
    /// What a member said that they want; `None`: nothing.
    pub async fn notification_preferences(
        &self,
        organization: OrganizationId,
        member: MemberId,
    ) -> Result<Option<NotificationPreferences>> {
        let stored: Option<String> = reading!(self, db => sqlx::query_scalar(
            "select preferences from notification_preferences where organization_id = $1 and member_id = $2",
        )
        .bind(organization.uuid())
        .bind(member.uuid())
        .fetch_optional(db)
        .await)?;
        stored.map(|text| json("notification_preferences", "preferences", &text)).transpose()
    }

    /// Stores what a member wants.
    pub async fn set_notification_preferences(
        &self,
        organization: OrganizationId,
        member: MemberId,
        preferences: NotificationPreferences,
        audit: NewAudit,
    ) -> Result<()> {
        writing!(self, conn => {
            sqlx::query(
                "insert into notification_preferences (member_id, organization_id, preferences) values ($1, $2, $3) \
                 on conflict (member_id) do update set preferences = excluded.preferences",
            )
            .bind(member.uuid())
            .bind(organization.uuid())
            .bind(to_json(&preferences))
            .execute(&mut *conn)
            .await?;
            audit::append(conn, organization, &audit).await
        })
    }
}
