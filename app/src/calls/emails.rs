//! E-mails, their templates, and addresses to which nothing is sent.
#![cfg_attr(
    feature = "ssr",
    expect(clippy::unused_async, reason = "server functions are async, and a preview stores nothing")
)]

use std::collections::BTreeMap;

use domain::{
    IntegrationId,
    api::{
        Email, EmailDetail, EmailQuery, EmailTemplate, EmailTemplateDraft, Page, RenderedEmail, Suppression,
        SuppressionQuery,
    },
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::filters::FieldChoices;
#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// One page of e-mails, newest first.
#[server(prefix = "/_ui", endpoint = "emails/list", protocol = ByJson)]
pub async fn list_emails(query: EmailQuery) -> Result<Page<Email>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.emails(&actor, query).await?)
}

/// What e-mails can be filtered by.
#[server(prefix = "/_ui", endpoint = "emails/choices", protocol = ByJson)]
pub async fn email_choices() -> Result<Vec<FieldChoices>, CallError> {
    use domain::api::EmailState;

    use super::filters::Choice;
    let states = EmailState::ALL.iter().map(|state| Choice {
        value: state.to_string(),
        text: crate::components::status::email_word(*state).to_owned(),
    });
    let senders = senders().await?.into_iter().map(|(id, name)| Choice { value: id.to_string(), text: name });
    Ok(vec![
        FieldChoices { field: "state".to_owned(), choices: states.collect() },
        FieldChoices { field: "integration_id".to_owned(), choices: senders.collect() },
    ])
}

/// The integrations that send e-mail, by name.
#[cfg(feature = "ssr")]
async fn senders() -> Result<BTreeMap<IntegrationId, String>, CallError> {
    let (engine, actor) = ssr::caller()?;
    let kind = Some(domain::catalogue::IntegrationType::Email);
    let query = domain::api::IntegrationQuery { kind, ..domain::api::IntegrationQuery::default() };
    let all = engine.integrations(&actor, &query).await?;
    Ok(all.into_iter().map(|integration| (integration.id, integration.name)).collect())
}

/// One e-mail, and the names of those that can have sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailScreen {
    /// The e-mail.
    pub detail: EmailDetail,
    /// Integrations by id.
    pub senders: BTreeMap<IntegrationId, String>,
}

/// One e-mail with its words, and what became of it.
#[server(prefix = "/_ui", endpoint = "emails/show", protocol = ByJson)]
pub async fn show_email(id: String) -> Result<EmailScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let detail = engine.email(&actor, ssr::id(&id, "E-mail")?).await?;
    Ok(EmailScreen { detail, senders: senders().await? })
}

/// All templates, by name.
#[server(prefix = "/_ui", endpoint = "email-templates/list", protocol = ByJson)]
pub async fn list_templates() -> Result<Vec<EmailTemplate>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.email_templates(&actor).await?)
}

/// What the page of a template begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateScreen {
    /// The template; empty for a new one.
    pub id: String,
    /// Its words.
    pub draft: EmailTemplateDraft,
    /// Values for all that they leave open, as JSON.
    pub data: String,
}

/// One template with sample values; `new` is one that does not exist yet.
#[server(prefix = "/_ui", endpoint = "email-templates/show", protocol = ByJson)]
pub async fn show_template(id: String) -> Result<TemplateScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    if id == "new" {
        return Ok(TemplateScreen { data: "{}".to_owned(), ..TemplateScreen::default() });
    }
    let EmailTemplate { name, subject, text, html, category, .. } =
        engine.email_template(&actor, ssr::id(&id, "Template")?).await?;
    let draft = EmailTemplateDraft { name, subject, text, html, category };
    let values = engine.sample_values(&actor, &draft)?;
    let data = serde_json::to_string_pretty(&values).unwrap_or_default();
    Ok(TemplateScreen { id, draft, data })
}

/// What an e-mail would look like; values that `data` does not give are shown by their names.
#[server(prefix = "/_ui", endpoint = "email-templates/preview", protocol = ByJson)]
pub async fn preview_template(draft: EmailTemplateDraft, data: String) -> Result<RenderedEmail, CallError> {
    let (engine, actor) = ssr::caller()?;
    let data = serde_json::from_str(&data).map_err(|error| {
        domain::api::ApiError::from(domain::Problems::one("data", format!("Not a JSON object: {error}")))
    })?;
    Ok(engine.preview_email(&actor, &domain::api::EmailPreviewRequest { draft, data, samples: true })?)
}

/// Stores a template: a new one when `id` is empty.
#[server(prefix = "/_ui", endpoint = "email-templates/save", protocol = ByForm)]
pub async fn save_template(
    #[server(default)] id: String,
    name: String,
    subject: String,
    #[server(default)] text: String,
    #[server(default)] html: String,
    #[server(default)] category: String,
) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let stored = if id.is_empty() { None } else { Some(ssr::id(&id, "Template")?) };
    let category = Some(category.trim().to_owned()).filter(|category| !category.is_empty());
    let draft = EmailTemplateDraft { name, subject, text, html, category };
    let saved = engine.put_email_template(&actor, stored, draft).await?;
    let path = format!("/emails/templates/{}", saved.id);
    if stored.is_none() {
        ssr::redirect(&path);
    } else {
        ssr::redirect_plain_form(&path);
    }
    Ok(())
}

/// Deletes a template.
#[server(prefix = "/_ui", endpoint = "email-templates/delete", protocol = ByForm)]
pub async fn delete_template(id: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.delete_email_template(&actor, ssr::id(&id, "Template")?).await?;
    ssr::redirect("/emails/templates");
    Ok(())
}

/// One page of addresses to which nothing is sent.
#[server(prefix = "/_ui", endpoint = "suppressions/list", protocol = ByJson)]
pub async fn list_suppressions(query: SuppressionQuery) -> Result<Page<Suppression>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.suppressions(&actor, &query).await?)
}

/// Sends nothing to an address from now on.
#[server(prefix = "/_ui", endpoint = "suppressions/add", protocol = ByForm)]
pub async fn suppress(email: String, #[server(default)] detail: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.suppress_email(&actor, domain::api::SuppressionDraft { email, detail }).await?;
    ssr::redirect_plain_form("/emails/suppressions");
    Ok(())
}

/// Sends to an address again.
#[server(prefix = "/_ui", endpoint = "suppressions/remove", protocol = ByForm)]
pub async fn unsuppress(email: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.unsuppress_email(&actor, &email).await?;
    ssr::redirect_plain_form("/emails/suppressions");
    Ok(())
}
