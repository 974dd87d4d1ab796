//! What happens, while it happens: server-sent events for the screens.
//!
//! A stream carries the caller's organization only. It ends by itself after a while and when the server stops; browsers
//! come back on their own, and are asked again who they are.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
    routing::{MethodRouter, get},
};
use domain::Permission;
use engine::LiveEvent;
use futures_util::{Stream, stream};
use tokio::sync::broadcast::error::RecvError;

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

async fn follow(
    State(Shared { engine, site }): State<Shared>,
    Caller(actor): Caller,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let messages = engine.live();
    let until = tokio::time::Instant::now() + LONGEST;
    let stopping = site.stopping.clone();
    let events = stream::unfold(messages, move |mut messages| {
        let stopping = stopping.clone();
        async move {
            loop {
                let received = tokio::select! {
                    received = messages.recv() => received,
                    () = stopping.cancelled() => return None,
                    () = tokio::time::sleep_until(until) => return None,
                };
                let written = match received {
                    Ok(message) if message.organization.is_none_or(|whose| whose == actor.organization) => {
                        Event::default().id(message.sequence.to_string()).json_data(&message.event)
                    }
                    Ok(_) => continue,
                    // Slower than what happens: the page loads what it shows again.
                    Err(RecvError::Lagged(_)) => Event::default().json_data(&LiveEvent::Missed),
                    Err(RecvError::Closed) => return None,
                };
                if let Ok(event) = written {
                    return Some((Ok(event), messages));
                }
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
