//! Moments on the screen. The server writes them absolute and in UTC; the browser takes over after hydration with relative
//! words, and the local time on hover. Nothing here asks a clock before hydration: the first render is the same on both sides.
//!
//! What is shown is written anew by one pass a second over the page, so that a long table does not have two effects for each of
//! its rows.

use domain::{Timestamp, human_ms};
use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast;

/// The moments that are written in relative words; some screens name exact ones.
const MOVING: &str = "time[data-moving]";

/// What the page knows of the time.
#[derive(Clone, Copy)]
pub struct Clock {
    /// False until the page is live.
    pub hydrated: RwSignal<bool>,
    /// The browser's time, in milliseconds since the epoch, moved once a second; 0 until the page is live.
    now: RwSignal<i64>,
}

impl Clock {
    /// A clock that starts when the page is live.
    pub fn provide() -> Self {
        let clock = Self { hydrated: RwSignal::new(false), now: RwSignal::new(0) };
        provide_context(clock);
        Effect::new(move |_| {
            let tick = move || {
                let now = browser_now();
                clock.now.set(now);
                write_all(now);
            };
            tick();
            clock.hydrated.set(true);
            _ = set_interval(tick, std::time::Duration::from_secs(1));
            _ = window_event_listener(ev::pointerover, |event| {
                let element = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
                if let Some(time) = element.and_then(|element| element.closest(MOVING).ok().flatten())
                    && let Some(at) = moment(&time)
                {
                    _ = time.set_attribute("title", &local(at));
                }
            });
        });
        clock
    }

    /// The browser's time, which moves; `None` until the page is live.
    pub fn now(self) -> Option<Timestamp> {
        Some(self.now.get()).filter(|now| *now > 0).map(Timestamp::from_millis)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds since the epoch are far below 2^53")]
fn browser_now() -> i64 {
    js_sys::Date::now() as i64
}

/// The moment that an element shows.
fn moment(time: &web_sys::Element) -> Option<Timestamp> {
    Timestamp::parse(&time.get_attribute("datetime")?)
}

/// Writes every moment on the page in relative words.
fn write_all(now: i64) {
    let Ok(times) = document().query_selector_all(MOVING) else { return };
    for time in (0..times.length()).filter_map(|index| times.item(index)) {
        let time: web_sys::Element = time.unchecked_into();
        if let (Some(at), Some(text)) = (moment(&time), time.first_child()) {
            let words = relative(at, now);
            if text.node_value().as_deref() != Some(&words) {
                text.set_node_value(Some(&words));
            }
        }
    }
}

/// `2026-11-22 10:00:00 UTC`.
pub fn utc(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {} UTC", &text[..10], &text[11..19])
}

/// The same in the browser's time zone and language.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since the epoch are far below 2^53")]
fn local(at: Timestamp) -> String {
    let date = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(at.millis() as f64));
    String::from(date.to_string())
}

/// `12 s ago`, `in 3 min`.
fn relative(at: Timestamp, now: i64) -> String {
    let ms = now - at.millis();
    let coarse = match ms.abs() {
        0..5_000 => return "just now".to_owned(),
        ms @ 5_000..60_000 => ms / 1_000 * 1_000,
        ms @ 60_000..3_600_000 => ms / 60_000 * 60_000,
        ms @ 3_600_000..86_400_000 => ms / 3_600_000 * 3_600_000,
        ms => ms / 86_400_000 * 86_400_000,
    };
    if ms < 0 { format!("in {}", human_ms(coarse)) } else { format!("{} ago", human_ms(coarse)) }
}

/// A moment: relative, with the absolute time on hover.
#[component]
pub fn Time(
    /// The moment.
    at: Timestamp,
) -> AnyView {
    let Clock { now, .. } = expect_context();
    let words = match now.get_untracked() {
        0 => utc(at),
        now => relative(at, now),
    };
    view! {
        <time class="time" data-moving="" datetime=at.to_string() title=utc(at)>
            {words}
        </time>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let at = Timestamp::from_millis(1_000_000_000);
        let after = |ms: i64| relative(at, at.millis() + ms);
        assert_eq!(after(1_000), "just now");
        assert_eq!(after(12_900), "12 s ago");
        assert_eq!(after(61_000), "1 min ago");
        assert_eq!(after(7_300_000), "2 h ago");
        assert_eq!(after(90_000_000), "1 d ago");
        assert_eq!(after(-30_000), "in 30 s");
        assert_eq!(utc(at), "1970-01-12 13:46:40 UTC");
    }
}
