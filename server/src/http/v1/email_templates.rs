//! Words for e-mails that are sent again and again.

use axum::{extract::State, http::StatusCode};
use domain::{
    EmailTemplateId,
    api::{EmailPreviewRequest, EmailTemplate, EmailTemplateDraft, Page, RenderedEmail},
};
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json, problem::Problem, query::Id},
    Answer, Made, whole,
};

/// List templates
#[utoipa::path(get, path = "/api/v1/email-templates", tag = "E-mail templates",
    responses((status = 200, description = "All templates, by name", body = Page<EmailTemplate>)))]
pub async fn list(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<Page<EmailTemplate>> {
    Ok(whole(engine.email_templates(&actor).await?))
}

/// Create a template
///
/// Values stand in double braces; in HTML they are escaped. A value that is missing when it is used is an error.
#[utoipa::path(post, path = "/api/v1/email-templates", tag = "E-mail templates",
    request_body(content = EmailTemplateDraft, example = json!({
        "name": "interview",
        "subject": "Your interview on {{ at }}",
        "text": "Dear {{ name }}, we look forward to seeing you on {{ at }}.",
        "html": "<p>Dear {{ name }}, we look forward to seeing you on {{ at }}.</p>",
        "category": "interviews",
    })),
    responses((status = 201, description = "The template", body = EmailTemplate)))]
pub async fn create(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(draft): Json<EmailTemplateDraft>,
) -> Made<EmailTemplate> {
    Ok((StatusCode::CREATED, Json(engine.put_email_template(&actor, None, draft).await?)))
}

/// Change a template
///
/// E-mails that were accepted before keep their words.
#[utoipa::path(put, path = "/api/v1/email-templates/{id}", tag = "E-mail templates",
    params(("id" = EmailTemplateId, Path, description = "The template")),
    request_body(content = EmailTemplateDraft),
    responses((status = 200, description = "The template", body = EmailTemplate)))]
pub async fn update(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<EmailTemplateId>,
    Json(draft): Json<EmailTemplateDraft>,
) -> Answer<EmailTemplate> {
    Ok(Json(engine.put_email_template(&actor, Some(id), draft).await?))
}

/// Delete a template
#[utoipa::path(delete, path = "/api/v1/email-templates/{id}", tag = "E-mail templates",
    params(("id" = EmailTemplateId, Path, description = "The template")),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<EmailTemplateId>,
) -> Result<StatusCode, Problem> {
    engine.delete_email_template(&actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Preview a template
///
/// Fills in values without storing or sending anything.
#[utoipa::path(post, path = "/api/v1/email-templates/preview", tag = "E-mail templates",
    request_body(content = EmailPreviewRequest, example = json!({
        "draft": {"subject": "Hello {{ name }}", "html": "<p>Hello {{ name }}</p>"},
        "data": {"name": "Ada"},
    })),
    responses((status = 200, description = "Subject and bodies", body = RenderedEmail)))]
pub async fn preview(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(request): Json<EmailPreviewRequest>,
) -> Answer<RenderedEmail> {
    Ok(Json(engine.preview_email(&actor, &request)?))
}
