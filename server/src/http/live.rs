//! What happens, while it happens: server-sent events for the screens.
//!
//! A stream carries the caller's organization only, from where the page is that asks, or where its last stream ended. It ends
//! by itself after a while and when the server stops; browsers come back on their own, and are asked again who they are.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::{Query, State},
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
    routing::{MethodRouter, get},
};
use domain::Permission;
use engine::Position;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;

use super::{
    Shared,
    auth::{Caller, Needs},
};

/// A comment after so much silence, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a stream goes on with a session that may have ended meanwhile.
const LONGEST: Duration = Duration::from_mins(10);

/// `GET /_ui/live`.
pub fn route() -> MethodRouter<Shared> {
    get(follow).route_layer(Extension(Needs(Some(Permission::ReadDeliveries))))
}

#[derive(Deserialize)]
struct Asked {
    /// Where the page was made.
    since: Option<String>,
}

async fn follow(
    State(Shared { engine, site }): State<Shared>,
    Caller(actor): Caller,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // A browser that comes back says what it heard last (WHATWG HTML, 9.2.4). What is no position asks for what happens now.
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).or(asked.since.as_deref());
    let since = last.and_then(|text| text.parse::<Position>().ok());
    let following = engine.live(actor.organization, since);
    let until = tokio::time::Instant::now() + LONGEST;
    let stopping = site.stopping.clone();
    // Says nothing, but is where the browser comes back to when it hears nothing else.
    let begin = Event::default().id(following.position().to_string());
    let events = stream::unfold(following, move |mut following| {
        let stopping = stopping.clone();
        async move {
            loop {
                let message = tokio::select! {
                    message = following.next() => message?,
                    () = stopping.cancelled() => return None,
                    () = tokio::time::sleep_until(until) => return None,
                };
                if let Ok(event) = Event::default().id(message.position.to_string()).json_data(&message.event) {
                    return Some((Ok(event), following));
                }
            }
        }
    });
    let events = stream::once(async { Ok(begin) }).chain(events);
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
