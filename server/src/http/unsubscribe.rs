//! Recipients' side of e-mails: unsubscribing with one click (RFC 8058), without a session and without cookies, and what
//! providers say of e-mails.
//!
//! A GET shows a page and changes nothing, because scanners of mail follow every link.

use axum::{
    Form,
    extract::{Path, Request, State},
    http::StatusCode,
    response::Response,
};
use domain::{
    IntegrationId,
    api::{ApiError, ErrorCode},
};
use engine::{Engine, Subscription};
use serde::Deserialize;

use super::{body, docs::escape, leaf, problem::Problem, query::parse_id};

/// Largest request of a provider, in bytes: SendGrid sends up to some hundred events at a time.
const MAX_EVENTS_BYTES: usize = 4 * 1024 * 1024;

/// What the page's buttons say. A mail program says `List-Unsubscribe=One-Click` and nothing else.
#[derive(Debug, Deserialize)]
pub struct Choice {
    /// `all`, or `again`.
    #[serde(default)]
    choice: String,
}

/// The page.
pub async fn show(State(engine): State<Engine>, Path(token): Path<String>) -> Response {
    match engine.subscription(&token).await {
        Ok(subscription) => page(StatusCode::OK, &content(&subscription)),
        Err(error) => failed(&error),
    }
}

/// Unsubscribes.
pub async fn change(
    State(engine): State<Engine>,
    Path(token): Path<String>,
    form: Result<Form<Choice>, axum::extract::rejection::FormRejection>,
) -> Response {
    // Whatever a mail program sends, it means the one thing.
    let choice = form.map(|Form(form)| form.choice).unwrap_or_default();
    let changed = match choice.as_str() {
        "again" => engine.subscribe_again(&token).await,
        choice => engine.unsubscribe(&token, choice == "all").await,
    };
    match changed {
        Ok(subscription) => page(StatusCode::OK, &content(&subscription)),
        Err(error) => failed(&error),
    }
}

/// Takes what a provider says of e-mails that it took.
pub async fn events(
    State(engine): State<Engine>,
    Path((provider, id)): Path<(String, String)>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let id: IntegrationId = parse_id(&id)?;
    let (parts, body) = request.into_parts();
    let body = body::read(body, MAX_EVENTS_BYTES)
        .await
        .map_err(|_| Problem::new(ErrorCode::InvalidRequest, "The body ended early"))?;
    if body.truncated {
        return Err(Problem::new(ErrorCode::PayloadTooLarge, "The body is larger than 4 MB"));
    }
    engine.hear_of_emails(&provider, id, &parts.headers, &body.bytes).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn content(subscription: &Subscription) -> String {
    let (email, category) = (escape(&subscription.email), escape(&subscription.category));
    let button = |choice: &str, label: &str| {
        format!("<form method=\"post\"><button name=\"choice\" value=\"{choice}\">{label}</button></form>")
    };
    if subscription.is_ended_for_all {
        return format!(
            "<h1>You are unsubscribed</h1><p>{email} gets no more e-mails that can be unsubscribed from.</p>{}",
            button("again", "Subscribe again")
        );
    }
    let all = button("all", "Unsubscribe from all e-mails");
    if subscription.is_ended {
        let again = button("again", "Subscribe again");
        return format!(
            "<h1>You are unsubscribed</h1><p>{email} gets no more e-mails about \u{201c}{category}\u{201d}.</p>{again}{all}"
        );
    }
    let one = button("category", "Unsubscribe");
    format!("<h1>Unsubscribe</h1><p>{email} gets e-mails about \u{201c}{category}\u{201d}.</p>{one}{all}")
}

fn failed(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    page(status, "<h1>This link does not work</h1><p>It may have been cut. Open it from the e-mail once more.</p>")
}

fn page(status: StatusCode, content: &str) -> Response {
    leaf::page(status, "E-mail preferences", content)
}
