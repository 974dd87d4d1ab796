//! Words for e-mails.

use domain::{
    EmailTemplateId, OrganizationId, PublicId, Timestamp,
    api::{EmailTemplate, EmailTemplateDraft},
};
use uuid::Uuid;

use crate::{
    NewAudit, Result, Store, StoreError, audit,
    columns::WHOLE_LIST,
    db::{reading, writing},
    keyset,
};

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    subject: String,
    text_body: String,
    html_body: String,
    category: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<Row> for EmailTemplate {
    type Error = StoreError;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: EmailTemplateId::from_uuid(row.id),
            name: row.name,
            subject: row.subject,
            text: row.text_body,
            html: row.html_body,
            category: row.category,
            created_at: Timestamp::from_millis(row.created_at),
            updated_at: Timestamp::from_millis(row.updated_at),
        })
    }
}

impl Store {
    /// All of an organization's, by name; at most 1,000.
    pub async fn email_templates(&self, organization: OrganizationId) -> Result<Vec<EmailTemplate>> {
        let rows: Vec<Row> = reading!(self, db => sqlx::query_as(
            "select id, name, subject, text_body, html_body, category, created_at, updated_at from email_templates \
             where organization_id = $1 order by name limit $2",
        )
        .bind(organization.uuid())
        .bind(WHOLE_LIST)
        .fetch_all(db)
        .await)?;
        keyset::all(rows)
    }

    /// The one of that name.
    pub async fn email_template(&self, organization: OrganizationId, name: &str) -> Result<Option<EmailTemplate>> {
        let row: Option<Row> = reading!(self, db => sqlx::query_as(
            "select id, name, subject, text_body, html_body, category, created_at, updated_at from email_templates \
             where organization_id = $1 and name = $2",
        )
        .bind(organization.uuid())
        .bind(name)
        .fetch_optional(db)
        .await)?;
        row.map(TryInto::try_into).transpose()
    }

    /// Stores a template, new or changed. A name that is taken is `Conflict("email_templates_name")`. `None`: there is none
    /// with that id to be changed.
    pub async fn put_email_template(
        &self,
        organization: OrganizationId,
        id: EmailTemplateId,
        draft: EmailTemplateDraft,
        is_new: bool,
        audit: NewAudit,
    ) -> Result<Option<EmailTemplate>> {
        writing!(self, conn => {
            let statement = if is_new {
                "insert into email_templates (id, organization_id, name, subject, text_body, html_body, category, \
                 created_at, updated_at) values ($2, $1, $3, $4, $5, $6, $7, $8, $8) returning id, name, subject, \
                 text_body, html_body, category, created_at, updated_at"
            } else {
                "update email_templates set name = $3, subject = $4, text_body = $5, html_body = $6, category = $7, \
                 updated_at = $8 where organization_id = $1 and id = $2 returning id, name, subject, text_body, \
                 html_body, category, created_at, updated_at"
            };
            let row: Option<Row> = sqlx::query_as(statement)
                .bind(organization.uuid())
                .bind(id.uuid())
                .bind(draft.name)
                .bind(draft.subject)
                .bind(draft.text)
                .bind(draft.html)
                .bind(draft.category)
                .bind(audit.at.millis())
                .fetch_optional(&mut *conn)
                .await?;
            if row.is_some() {
                audit::append(conn, organization, &audit).await?;
            }
            row.map(TryInto::try_into).transpose()
        })
    }

    /// Deletes a template. `false`: it is not there.
    pub async fn delete_email_template(
        &self,
        organization: OrganizationId,
        id: EmailTemplateId,
        audit: NewAudit,
    ) -> Result<bool> {
        writing!(self, conn => {
            let done = sqlx::query("delete from email_templates where organization_id = $1 and id = $2")
                .bind(organization.uuid())
                .bind(id.uuid())
                .execute(&mut *conn)
                .await?;
            if done.rows_affected() > 0 {
                audit::append(conn, organization, &audit).await?;
            }
            Ok(done.rows_affected() > 0)
        })
    }
}
