//! Views that members keep of lists.

use domain::{MemberId, OrganizationId, PublicId, api::SavedView};

use crate::{
    Result, Store,
    db::{reading, writing},
};

impl Store {
    /// The views of a member, by list and name.
    pub async fn saved_views(&self, organization: OrganizationId, member: MemberId) -> Result<Vec<SavedView>> {
        let rows: Vec<(String, String, String)> = reading!(self, db => sqlx::query_as(
            "select list, name, query from saved_views where organization_id = $1 and member_id = $2 order by list, name",
        )
        .bind(organization.uuid())
        .bind(member.uuid())
        .fetch_all(db)
        .await)?;
        Ok(rows.into_iter().map(|(list, name, query)| SavedView { list, name, query }).collect())
    }

    /// Stores a view, in place of the one of the same name. Says `false` when the member has `most` others already.
    pub async fn save_view(
        &self,
        organization: OrganizationId,
        member: MemberId,
        view: SavedView,
        most: i64,
    ) -> Result<bool> {
        writing!(self, conn => {
            let others: i64 = sqlx::query_scalar(
                "select count(*) from saved_views where organization_id = $1 and member_id = $2 \
                 and not (list = $3 and name = $4)",
            )
            .bind(organization.uuid())
            .bind(member.uuid())
            .bind(&view.list)
            .bind(&view.name)
            .fetch_one(&mut *conn)
            .await?;
            if others >= most {
                return Ok(false);
            }
            sqlx::query(
                "insert into saved_views (organization_id, member_id, list, name, query) values ($1, $2, $3, $4, $5) \
                 on conflict (organization_id, member_id, list, name) do update set query = excluded.query",
            )
            .bind(organization.uuid())
            .bind(member.uuid())
            .bind(&view.list)
            .bind(&view.name)
            .bind(&view.query)
            .execute(conn)
            .await?;
            Ok(true)
        })
    }

    /// Forgets a view. Says `false` when there is none of that name.
    pub async fn forget_view(
        &self,
        organization: OrganizationId,
        member: MemberId,
        list: String,
        name: String,
    ) -> Result<bool> {
        writing!(self, conn => {
            let gone = sqlx::query(
                "delete from saved_views where organization_id = $1 and member_id = $2 and list = $3 and name = $4",
            )
            .bind(organization.uuid())
            .bind(member.uuid())
            .bind(&list)
            .bind(&name)
            .execute(conn)
            .await?;
            Ok(gone.rows_affected() > 0)
        })
    }
}
