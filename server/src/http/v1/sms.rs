//! Text messages.

use axum::extract::State;
use domain::api::{SentSms, SmsDraft};
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json},
    Answer,
};

/// Send a text message
///
/// At once: nothing is queued, and the answer says who has it. When the provider fails, it goes through whoever stands in. One
/// that a provider may have taken without saying so is `uncertain` and not sent again. 503 means that nobody has it.
#[utoipa::path(post, path = "/api/v1/sms", tag = "Text messages and files",
    request_body(content = SmsDraft, example = json!({"to": "+15551234567", "text": "Your interview is on Monday at ten"})),
    responses((status = 200, description = "Who has it", body = SentSms)))]
pub async fn send(State(engine): State<Engine>, Caller(actor): Caller, Json(draft): Json<SmsDraft>) -> Answer<SentSms> {
    Ok(Json(engine.send_sms(&actor, draft).await?))
}
