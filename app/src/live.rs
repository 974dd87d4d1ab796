//! Live updates: one connection per tab, shared by every component that wants to know. Events are handed on in batches, at most
//! ten a second, so that a storm of deliveries costs a few renders and not a thousand. It refuses to be needed: without it a page
//! shows what it was loaded with.
//!
//! The page says where it was made, and the browser what it heard last, so that the server tells what happened between; what is
//! no longer known there is told as something missed.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use domain::{
    api::{Delivery, InspectorRequest, Job},
    delivery::DeliveryState,
};
use leptos::prelude::*;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{EventSource, MessageEvent};

use crate::objects;

/// Longest wait between two batches, in milliseconds.
const BATCH_MS: i32 = 100;
/// Most events kept between two batches; a tab in the background is woken rarely, and only the newest matter then.
const MOST: usize = 500;

/// How often what is fetched again because of events is fetched at most, in milliseconds.
const FETCH_MS: i32 = 500;

/// Something that just happened: one of these. Each is read by the pages that show it, so that no other needs the code.
#[derive(Debug, Deserialize)]
pub struct LiveEvent {
    /// What kind of thing.
    #[serde(rename = "type", default)]
    kind: String,
    delivery: Option<Box<RawValue>>,
    request: Option<Box<RawValue>>,
    job: Option<Box<RawValue>>,
}

fn read<T: DeserializeOwned>(part: Option<&RawValue>) -> Option<T> {
    objects::from_str(part?.get()).ok()
}

impl LiveEvent {
    /// A delivery that is new or changed.
    pub fn delivery(&self) -> Option<Delivery> {
        read(self.delivery.as_deref())
    }

    /// A request that the Inspector received.
    pub fn request(&self) -> Option<InspectorRequest> {
        read(self.request.as_deref())
    }

    /// A job that began, came further or ended.
    pub fn job(&self) -> Option<Job> {
        read(self.job.as_deref())
    }

    /// Whether it is of this kind, such as `alerts`.
    pub fn is_of(&self, kind: &str) -> bool {
        self.kind == kind
    }

    /// Whether dead letters were retried, cleared or restored.
    pub fn moves_dead_letters(&self) -> bool {
        self.kind == "dead_letters"
    }

    /// A delivery that was given up.
    pub fn dead_letter(&self) -> Option<Delivery> {
        if self.is_dead_letter() { self.delivery() } else { None }
    }

    /// Whether a delivery was given up: for those who need no more of it.
    pub fn is_dead_letter(&self) -> bool {
        #[derive(Deserialize)]
        struct Outcome {
            status: DeliveryState,
        }
        read::<Outcome>(self.delivery.as_deref()).is_some_and(|delivery| delivery.status == DeliveryState::DeadLetter)
    }
}

/// How the connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Not tried: the page is not live yet, or never will be.
    Off,
    /// Being made.
    Connecting,
    /// Updates arrive.
    Open,
    /// Lost; it is tried again.
    Lost,
}

/// The tab's connection.
#[derive(Clone, Copy)]
pub struct Live {
    /// How it is.
    pub connection: RwSignal<Connection>,
    /// Grows when something was not told in full: it has to be loaded.
    pub missed: RwSignal<u32>,
    batch: RwSignal<Arc<Vec<LiveEvent>>>,
    /// What was missed is loaded in a moment.
    reloads: StoredValue<bool>,
    /// Where the page is in what happens; none where nobody is signed in.
    position: StoredValue<Option<String>>,
}

impl Live {
    /// Not connected yet.
    pub fn provide() -> Self {
        let live = Self {
            connection: RwSignal::new(Connection::Off),
            missed: RwSignal::new(0),
            batch: RwSignal::new(Arc::default()),
            reloads: StoredValue::new(false),
            position: StoredValue::new(position()),
        };
        provide_context(live);
        live
    }

    /// Connects once the page is live, for as long as the tab lives.
    pub fn connect(self) {
        Effect::new(move |_| open(self, Rc::default(), 0));
    }

    /// Calls `handle` for every event from now on, until the component that asks is gone.
    pub fn on_event(self, handle: impl Fn(&LiveEvent) + 'static) {
        Effect::new(move |before: Option<()>| {
            let batch = self.batch.get();
            if before.is_some() {
                batch.iter().for_each(&handle);
            }
        });
    }

    /// Grows when something of this kind happened, but not more often than fetching again is worth.
    pub fn ticks(self, is_of_kind: impl Fn(&LiveEvent) -> bool + 'static) -> RwSignal<u32> {
        let (ticks, waits) = (RwSignal::new(0), StoredValue::new(false));
        self.on_event(move |event| {
            if !waits.get_value() && is_of_kind(event) {
                waits.set_value(true);
                let tick = move || {
                    // The page may be gone by now.
                    _ = waits.try_set_value(false);
                    ticks.try_update(|ticks| *ticks += 1);
                };
                after(FETCH_MS, tick);
            }
        });
        ticks
    }
}

/// Where the page is made. To be asked before its data is read.
#[cfg(feature = "ssr")]
pub fn position() -> Option<String> {
    let (engine, _) = crate::ssr::caller().ok()?;
    Some(engine.live_position().to_string())
}

/// Where the page was made.
#[cfg(not(feature = "ssr"))]
pub fn position() -> Option<String> {
    document().document_element()?.get_attribute("data-live")
}

fn open(live: Live, buffer: Rc<RefCell<Vec<LiveEvent>>>, failures: u32) {
    if live.connection.get_untracked() == Connection::Off {
        live.connection.set(Connection::Connecting);
    }
    let since = live.position.with_value(|position| position.clone().unwrap_or_default());
    let Ok(source) = EventSource::new(&format!("/_ui/live?since={since}")) else { return };
    let opened = Closure::<dyn Fn()>::new(move || live.connection.set(Connection::Open));
    let received = {
        let buffer = buffer.clone();
        Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
            live.position.set_value(Some(message.last_event_id()));
            let text = message.data().as_string().unwrap_or_default();
            if let Ok(event) = objects::from_str::<LiveEvent>(&text) {
                if event.is_of("missed") {
                    reload(live);
                }
                collect(live, &buffer, event);
            }
        })
    };
    let failed = {
        let source = source.clone();
        Closure::<dyn Fn()>::new(move || {
            let was_open = live.connection.get_untracked() == Connection::Open;
            live.connection.set(Connection::Lost);
            // The browser comes back by itself after a cut, but not after an answer that is no stream.
            if source.ready_state() == EventSource::CLOSED {
                let failures = if was_open { 0 } else { failures + 1 };
                let seconds = f64::from(1_u32 << failures.min(5)) * (0.5 + js_sys::Math::random() / 2.0);
                let buffer = buffer.clone();
                #[expect(clippy::cast_possible_truncation, reason = "at most 32 seconds")]
                after((seconds * 1_000.0) as i32, move || open(live, buffer, failures));
            }
        })
    };
    source.set_onopen(Some(opened.into_js_value().unchecked_ref()));
    source.set_onmessage(Some(received.into_js_value().unchecked_ref()));
    source.set_onerror(Some(failed.into_js_value().unchecked_ref()));
}

/// Runs `then` later, by the browser's own timer. One of the reactive system ends with whatever effect happened to run when it
/// was set, so it may never fire, and then nothing would follow the news any more.
pub fn after(ms: i32, then: impl FnOnce() + 'static) {
    let then = Closure::once_into_js(then);
    _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(then.unchecked_ref(), ms);
}

/// Lets pages load again what they show, but not more often than that is worth.
fn reload(live: Live) {
    if !live.reloads.get_value() {
        live.reloads.set_value(true);
        after(FETCH_MS, move || {
            live.reloads.set_value(false);
            live.missed.update(|times| *times += 1);
        });
    }
}

fn collect(live: Live, buffer: &Rc<RefCell<Vec<LiveEvent>>>, event: LiveEvent) {
    let mut events = buffer.borrow_mut();
    if events.is_empty() {
        let buffer = buffer.clone();
        after(BATCH_MS, move || live.batch.set(Arc::new(buffer.take())));
    }
    if events.len() == MOST {
        events.remove(0);
    }
    events.push(event);
}
