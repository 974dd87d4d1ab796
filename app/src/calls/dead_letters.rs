//! Dead letters: what the queue shows, and what is done to those that a person chose.

use domain::{
    Timestamp,
    api::{DeadLetterQuery, DeadLetterSummary, Delivery},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// A row of the queue. The API has it as one object, which takes the browser twice the code to read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The delivery.
    pub delivery: Delivery,
    /// When it was given up.
    pub died_at: Timestamp,
    /// When it is discarded unless somebody retries it.
    pub expires_at: Timestamp,
}

/// What the queue shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queue {
    /// One page, the newest delivery first.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
    /// How many there are in all, and of which webhooks.
    pub summary: DeadLetterSummary,
}

/// One page of dead letters, and how many there are.
#[server(prefix = "/_ui", endpoint = "dead-letters/list", protocol = ByJson)]
pub async fn list_dead_letters(query: DeadLetterQuery) -> Result<Queue, CallError> {
    let (engine, actor) = ssr::caller()?;
    let page = engine.dead_letters(&actor, query).await?;
    let letters = page.data.into_iter().map(|it| DeadLetter {
        delivery: it.delivery,
        died_at: it.died_at,
        expires_at: it.expires_at,
    });
    let summary = engine.dead_letter_summary(&actor).await?;
    Ok(Queue { letters: letters.collect(), next_cursor: page.next_cursor, summary })
}

/// How many there are.
#[server(prefix = "/_ui", endpoint = "dead-letters/total", protocol = ByJson)]
pub async fn dead_letter_total() -> Result<i64, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.dead_letter_summary(&actor).await?.total)
}

/// What became of the chosen ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Whether they were cleared; else they were retried.
    pub cleared: bool,
    /// Those it was done to.
    pub done: Vec<String>,
    /// Why it was not done to some, and to how many.
    pub refused: Option<(usize, String)>,
}

/// Retries or clears. `one` is what a row's own button says, such as `retry dlv_…`; else `act` is done to all of `ids`.
/// Without JavaScript it goes on to `back`, where a clear can be taken back.
#[server(prefix = "/_ui", endpoint = "dead-letters/move", protocol = ByForm)]
pub async fn move_dead_letters(
    #[server(default)] ids: Vec<String>,
    #[server(default)] act: String,
    #[server(default)] one: String,
    #[server(default)] back: String,
) -> Result<Moved, CallError> {
    let (engine, actor) = ssr::caller()?;
    let (act, ids) = match one.split_once(' ') {
        Some((act, id)) => (act.to_owned(), vec![id.to_owned()]),
        None => (act, ids),
    };
    let chosen = ids.iter().map(|id| ssr::id(id, "Delivery")).collect::<Result<Vec<domain::DeliveryId>, _>>()?;
    if chosen.is_empty() {
        return Err(ssr::refusal(domain::api::ErrorCode::InvalidRequest, "Choose at least one dead letter."));
    }
    let choice = domain::api::DeadLetterChoice { ids: Some(chosen.clone()), ..Default::default() };
    let cleared = act == "clear";
    let handled = if cleared {
        engine.clear_dead_letters(&actor, choice).await?
    } else {
        engine.retry_dead_letters(&actor, choice).await?
    };
    let refused = match handled {
        engine::Handled::Now(done) => done.refused,
        engine::Handled::Job(_) => Vec::new(),
    };
    if refused.len() == chosen.len() {
        return Err(domain::api::ApiError::from(refused[0].reason).into());
    }
    let done: Vec<String> =
        chosen.iter().filter(|id| refused.iter().all(|refused| refused.id != **id)).map(ToString::to_string).collect();
    let back = ssr::safe_path(&back);
    let join = if back.contains('?') { '&' } else { '?' };
    let undo = if cleared { format!("{join}cleared={}", done.join(".")) } else { String::new() };
    ssr::redirect_plain_form(&format!("{back}{undo}"));
    let refused = refused.first().map(|first| (refused.len(), first.detail.clone()));
    Ok(Moved { cleared, done, refused })
}

/// Takes a clear back.
#[server(prefix = "/_ui", endpoint = "dead-letters/restore", protocol = ByForm)]
pub async fn restore_dead_letters(#[server(default)] ids: Vec<String>) -> Result<i64, CallError> {
    let (engine, actor) = ssr::caller()?;
    let ids = ids.iter().map(|id| ssr::id(id, "Delivery")).collect::<Result<_, _>>()?;
    let restored = engine.restore_dead_letters(&actor, domain::api::DeadLetterIds { ids }).await?;
    ssr::redirect_plain_form("/dead-letters");
    Ok(restored.done)
}
