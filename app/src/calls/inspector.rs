//! The built-in receiver.

use domain::api::{InspectorRequest, InspectorResponse, Page};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// Where the Inspector receives.
#[server(prefix = "/_ui", endpoint = "inspector/url", protocol = ByJson)]
pub async fn inspector_url() -> Result<String, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.inspector_url(&actor).await?)
}

/// One page of what it received, newest first.
#[server(prefix = "/_ui", endpoint = "inspector/list", protocol = ByJson)]
pub async fn inspector_requests(cursor: Option<String>) -> Result<Page<InspectorRequest>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.inspector_requests(&actor, cursor, Some(25)).await?)
}

/// Forgets all of it.
#[server(prefix = "/_ui", endpoint = "inspector/clear", protocol = ByForm)]
pub async fn clear_inspector() -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.clear_inspector(&actor).await?;
    ssr::redirect_plain_form("/inspector");
    Ok(())
}

/// What it answers.
#[server(prefix = "/_ui", endpoint = "inspector/response", protocol = ByJson)]
pub async fn show_inspector_response() -> Result<InspectorResponse, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.inspector_response(&actor).await?)
}

/// Changes what it answers; with `then` = `reset` it is an ordinary receiver again. All fields are as they were typed.
#[server(prefix = "/_ui", endpoint = "inspector/respond", protocol = ByForm)]
pub async fn save_inspector_response(
    #[server(default)] status: String,
    #[server(default)] delay_ms: String,
    #[server(default)] retry_after_s: String,
    #[server(default)] body: String,
    #[server(default)] then: String,
) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let response = if then == "reset" {
        Ok(InspectorResponse::default())
    } else {
        let mut problems = domain::Problems::default();
        let mut number = |field: &str, text: &str, empty: Option<u32>| {
            let number = if text.trim().is_empty() { empty } else { text.trim().parse().ok() };
            number.unwrap_or_else(|| {
                problems.add(field, "Please enter a whole number");
                200
            })
        };
        let response = InspectorResponse {
            status: u16::try_from(number("status", &status, None)).unwrap_or(u16::MAX),
            delay_ms: number("delay_ms", &delay_ms, Some(0)),
            retry_after_s: (!retry_after_s.trim().is_empty()).then(|| number("retry_after_s", &retry_after_s, None)),
            body: body.clone(),
        };
        problems.or(response)
    };
    let saved = match response {
        Ok(response) => engine.set_inspector_response(&actor, response).await,
        Err(problems) => Err(problems.into()),
    };
    saved.map_err(|error| {
        let typed = [("status", &*status), ("delay_ms", &delay_ms), ("retry_after_s", &retry_after_s), ("body", &body)];
        ssr::keep_typed::<SaveInspectorResponse>(error.into(), &typed)
    })?;
    ssr::redirect_plain_form("/inspector");
    Ok(())
}
