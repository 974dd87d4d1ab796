//! The HTML of e-mails, for the frames in which screens show it.
//!
//! It was written by whoever sends e-mails, so it is a stranger's: the frame may run nothing, load nothing, send nothing, and
//! belongs to no origin, also when somebody opens its address by itself.

use axum::{
    Extension, Form, Router,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::{
    EmailId, Permission,
    api::{EmailPreviewRequest, EmailTemplateDraft},
};
use engine::Engine;
use serde::Deserialize;

use super::{
    Shared,
    auth::{Caller, Needs},
    problem::Problem,
    query::Id,
};

/// Styles stand in the e-mail itself, and pictures may; nothing else is taken from anywhere.
const POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'",
);

/// What a template's page posts into its frame.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    /// The template's HTML.
    html: String,
    /// Sample values, as JSON.
    data: String,
}

/// `GET /_ui/emails/{id}/html`, `POST /_ui/email-templates/html`.
pub fn router() -> Router<Shared> {
    let reads = || Extension(Needs(Some(Permission::ReadIntegrations)));
    Router::new()
        .route("/_ui/emails/{id}/html", get(of_email).route_layer(reads()))
        .route("/_ui/email-templates/html", post(of_template).route_layer(reads()))
}

async fn of_email(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<EmailId>,
) -> Result<Response, Problem> {
    Ok(frame(engine.email(&actor, id).await?.content.html))
}

/// A template with samples. While it cannot be rendered the frame keeps what it shows: the form says why.
async fn of_template(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Form(Written { html, data }): Form<Written>,
) -> Response {
    let data = serde_json::from_str(&data).unwrap_or_default();
    let draft = EmailTemplateDraft { html, ..EmailTemplateDraft::default() };
    match engine.preview_email(&actor, &EmailPreviewRequest { draft, data, samples: true }) {
        Ok(rendered) => frame(rendered.html),
        Err(_) => StatusCode::NO_CONTENT.into_response(),
    }
}

fn frame(html: String) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN")),
    ];
    (headers, html).into_response()
}
