//! E-mails: accepted, listed, shown.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
};
use domain::{
    EmailId,
    api::{Email, EmailDetail, EmailDraft, EmailQuery, ErrorCode, Page},
};
use engine::Engine;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{
        auth::Caller,
        body, idempotency,
        json::Json,
        problem::Problem,
        query::{Id, Query},
    },
    Answer, Made,
};

/// Largest report of a bounce, in bytes.
const MAX_REPORT_BYTES: usize = 1024 * 1024;

/// How many e-mails a report was about.
#[derive(Debug, Serialize, ToSchema)]
pub struct Heard {
    heard: u64,
}

/// Send an e-mail
///
/// 202 means that it is stored, and sent within the limits of its integration. `state` then says what became of it; it is
/// `suppressed` at once when the recipient does not want it, or cannot be reached. The same idempotency key within 24 hours,
/// in the body or in the header `Idempotency-Key`, sends nothing a second time: the answer is the first e-mail as it is now.
#[utoipa::path(post, path = "/api/v1/emails", tag = "E-mails",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same as `idempotency_key` in the body")),
    request_body(content = EmailDraft, example = json!({
        "to": "candidate@example.com",
        "template": "interview",
        "data": {"name": "Ada", "at": "Monday at ten"},
        "category": "interviews",
    })),
    responses((status = 202, description = "The e-mail as it waits", body = Email)))]
pub async fn send(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Json(mut draft): Json<EmailDraft>,
) -> Made<Email> {
    draft.idempotency_key = idempotency::key(&headers, draft.idempotency_key)?;
    Ok((StatusCode::ACCEPTED, Json(engine.send_email(&actor, draft).await?)))
}

/// List e-mails
///
/// The newest first.
#[utoipa::path(get, path = "/api/v1/emails", tag = "E-mails", params(EmailQuery),
    responses((status = 200, description = "One page of e-mails", body = Page<Email>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Query(query): Query<EmailQuery>,
) -> Answer<Page<Email>> {
    Ok(Json(engine.emails(&actor, query).await?))
}

/// Show an e-mail
///
/// With its words, and what became of it step by step.
#[utoipa::path(get, path = "/api/v1/emails/{id}", tag = "E-mails",
    params(("id" = EmailId, Path, description = "The e-mail")),
    responses((status = 200, description = "The e-mail", body = EmailDetail)))]
pub async fn show(State(engine): State<Engine>, Caller(actor): Caller, Id(id): Id<EmailId>) -> Answer<EmailDetail> {
    Ok(Json(engine.email(&actor, id).await?))
}

/// Report a bounce
///
/// The body is a message of a mail server that says that e-mails did not arrive (RFC 3464), as it came: pipe what arrives at
/// the sender's address here. An address that does not exist is suppressed. What is not about an e-mail of this organization
/// changes nothing.
#[utoipa::path(post, path = "/api/v1/emails/bounces", tag = "E-mails",
    request_body(content = String, content_type = "message/rfc822"),
    responses((status = 200, description = "How many e-mails it was about", body = Heard)))]
pub async fn bounce(State(engine): State<Engine>, Caller(actor): Caller, request: Request) -> Answer<Heard> {
    let report = body::read(request.into_body(), MAX_REPORT_BYTES)
        .await
        .map_err(|_| Problem::new(ErrorCode::InvalidRequest, "The body ended early"))?;
    Ok(Json(Heard { heard: engine.hear_of_bounce(&actor, &report.bytes).await? }))
}
