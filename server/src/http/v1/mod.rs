//! The REST API, version 1: one file per noun, one function per operation.
//!
//! A handler's documentation is the public documentation: its first line is the summary in the OpenAPI document, the rest
//! the description. Which errors an operation can answer follows from its shape and is added by [`super::openapi`].

pub mod alerts;
pub mod api_keys;
pub mod audit;
pub mod catalogue;
pub mod dead_letters;
pub mod deliveries;
pub mod email_templates;
pub mod emails;
pub mod event_types;
pub mod events;
pub mod failover;
pub mod files;
pub mod inspector;
pub mod integrations;
pub mod jobs;
pub mod me;
pub mod members;
pub mod oauth;
pub mod overview;
pub mod replays;
pub mod retention;
pub mod retry_policy;
pub mod sms;
pub mod sources;
pub mod suppressions;
pub mod webhooks;

use axum::http::StatusCode;
use domain::api::Page;

use super::{json::Json, problem::Problem};

/// What handlers answer.
type Answer<T> = Result<Json<T>, Problem>;
/// What handlers answer that make something, with the status that says so.
type Made<T> = Result<(StatusCode, Json<T>), Problem>;

/// A list that is short enough to have no pages, in the form of one page.
fn whole<T>(data: Vec<T>) -> Json<Page<T>> {
    Json(Page { data, next_cursor: None })
}
