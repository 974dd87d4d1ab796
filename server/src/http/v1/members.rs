//! Members: the people of an organization.

use axum::{extract::State, http::StatusCode};
use domain::api::{Member, MemberDraft, Page};
use engine::Engine;

use super::{
    super::{auth::Caller, json::Json},
    Answer, Made, whole,
};

/// List members
#[utoipa::path(get, path = "/api/v1/members", tag = "Members",
    responses((status = 200, description = "All members", body = Page<Member>)))]
pub async fn list(State(engine): State<Engine>, Caller(actor): Caller) -> Answer<Page<Member>> {
    Ok(whole(engine.members(&actor).await?))
}

/// Add a member
#[utoipa::path(post, path = "/api/v1/members", tag = "Members",
    request_body(content = MemberDraft, example = json!({
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "role": "operator",
        "password": "at least twelve characters",
    })),
    responses((status = 201, description = "The member", body = Member)))]
pub async fn create(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Json(draft): Json<MemberDraft>,
) -> Made<Member> {
    Ok((StatusCode::CREATED, Json(engine.create_member(&actor, draft).await?)))
}
