//! The filters of `/deliveries`: read from the address, written into it. A filter that makes no sense is left out, never an
//! error.

use domain::{Timestamp, api::DeliveryQuery, delivery::DeliveryState};
use leptos::{ev::SubmitEvent, form::form_data_from_event, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wasm_bindgen::JsCast;

use crate::components::{icon::icon, problem::encode, status::delivery_word};

/// Quick time ranges: the value in the address, what it is called, hours.
const RANGES: [(&str, &str, u32); 4] =
    [("1h", "Last hour", 1), ("24h", "Last 24 hours", 24), ("7d", "Last 7 days", 168), ("30d", "Last 30 days", 720)];

/// What is filtered by, as it stands in the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    status: Option<DeliveryState>,
    webhook_id: Option<domain::WebhookId>,
    event_id: Option<domain::EventId>,
    event: Option<String>,
    range: Option<usize>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// Where a later page begins.
    pub cursor: Option<String>,
}

/// Reads `2026-11-22T10:00`, as date fields write it, in UTC, and RFC 3339.
fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text)
        .or_else(|| Timestamp::parse(&format!("{text}:00Z")))
        .or_else(|| Timestamp::parse(&format!("{text}Z")))
}

/// As a date field wants it.
fn field_text(at: Option<Timestamp>) -> String {
    at.map(|at| at.to_string()[..16].to_owned()).unwrap_or_default()
}

impl Filters {
    /// Reads the address.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name| get(name).filter(|text| !text.is_empty());
        Self {
            status: get("status").and_then(|text| text.parse().ok()),
            webhook_id: get("webhook_id").and_then(|text| text.parse().ok()),
            event_id: get("event_id").and_then(|text| text.parse().ok()),
            event: get("event"),
            range: get("range").and_then(|text| RANGES.iter().position(|(name, ..)| *name == text)),
            from: get("from").and_then(|text| moment(&text)),
            to: get("to").and_then(|text| moment(&text)),
            cursor: get("cursor"),
        }
    }

    /// As the server is asked.
    pub fn query(&self) -> DeliveryQuery {
        DeliveryQuery {
            webhook_id: self.webhook_id,
            event_id: self.event_id,
            status: self.status,
            event: self.event.clone(),
            from: self.from,
            to: self.to,
            limit: Some(50),
            cursor: self.cursor.clone(),
        }
    }

    /// The quick range.
    pub fn within_hours(&self) -> Option<u32> {
        self.range.map(|range| RANGES[range].2)
    }

    /// Whether anything is left out.
    pub fn is_filtered(&self) -> bool {
        *self != Self { cursor: self.cursor.clone(), ..Self::default() }
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        [
            ("status", self.status.map(|status| status.as_str().to_owned())),
            ("webhook_id", self.webhook_id.map(|id| id.to_string())),
            ("event_id", self.event_id.map(|id| id.to_string())),
            ("event", self.event.clone()),
            ("range", self.range.map(|range| RANGES[range].0.to_owned())),
            ("from", self.from.map(|at| at.to_string())),
            ("to", self.to.map(|at| at.to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }

    /// The address of the newest page.
    pub fn path(&self) -> String {
        path(&self.pairs())
    }

    /// The filters that are on, as name, words, and the address without them.
    fn chips(&self, webhooks: &[(String, String)]) -> Vec<(&'static str, String, String)> {
        let pairs = self.pairs();
        let words = |name: &str, value: &str| match name {
            "status" => self.status.map_or("", delivery_word).to_owned(),
            "webhook_id" => webhooks.iter().find(|(id, _)| id == value).map_or(value, |(_, name)| name).to_owned(),
            "range" => self.range.map_or("", |range| RANGES[range].1).to_owned(),
            "from" | "to" => value.get(..16).unwrap_or(value).replace('T', " ") + " UTC",
            _ => value.to_owned(),
        };
        let title = |name: &'static str| match name {
            "webhook_id" => "webhook",
            "event_id" => "event id",
            "range" => "time",
            name => name,
        };
        let without = |name: &str| path(&pairs.iter().filter(|(other, _)| *other != name).cloned().collect::<Vec<_>>());
        pairs.iter().map(|(name, value)| (title(name), words(name, value), without(name))).collect()
    }
}

fn path(pairs: &[(&'static str, String)]) -> String {
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if query.is_empty() { "/deliveries".to_owned() } else { format!("/deliveries?{}", query.join("&")) }
}

/// The form and the chips.
pub fn filter_bar(filters: Memo<Filters>, (webhooks, events): (Vec<(String, String)>, Vec<String>)) -> AnyView {
    let navigate = use_navigate();
    let submit = move |event: SubmitEvent| {
        let Ok(form) = form_data_from_event(&event) else { return };
        event.prevent_default();
        let filters = Filters::read(|name| form.get(name).as_string());
        navigate(&filters.path(), NavigateOptions { scroll: false, ..NavigateOptions::default() });
    };
    let chosen = move || filters.get();
    let statuses = DeliveryState::ALL.map(|it| (it.as_str().to_owned(), delivery_word(it).to_owned())).to_vec();
    let names = events.into_iter().map(|event| (event.clone(), event)).collect();
    let ranges = RANGES.map(|(value, text, _)| (value.to_owned(), text.to_owned())).to_vec();
    let for_chips = webhooks.clone();
    view! {
        <form method="get" action="/deliveries" class="toolbar filters" aria-label="Filters" on:submit=submit>
            {choice("Status", "status", statuses, move || {
                chosen().status.map(|status| status.as_str().to_owned())
            })}
            {choice("Webhook", "webhook_id", webhooks, move || chosen().webhook_id.map(|id| id.to_string()))}
            {choice("Event", "event", names, move || chosen().event)}
            {choice("Time", "range", ranges, move || chosen().range.map(|range| RANGES[range].0.to_owned()))}
            {date("From (UTC)", "from", move || field_text(chosen().from))}
            {date("To (UTC)", "to", move || field_text(chosen().to))}
            <button class="btn no-js">"Apply"</button>
        </form>
        <ul class="chips" aria-label="Active filters" hidden=move || !filters.read().is_filtered()>
            {move || {
                filters
                    .read()
                    .chips(&for_chips)
                    .into_iter()
                    .map(|(name, words, href)| {
                        let label = format!("Remove filter {name}: {words}");
                        view! {
                            <li>
                                <a class="chip" href=href aria-label=label data-noscroll="">
                                    <span class="muted">{name}": "</span>
                                    {words}
                                    {icon("x")}
                                </a>
                            </li>
                        }
                    })
                    .collect_view()
            }}
        </ul>
    }
    .into_any()
}

/// Sends the form as soon as a choice is made.
pub fn send_form(event: &leptos::ev::Event) {
    let field = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    if let Some(Ok(Some(form))) = field.map(|field| field.closest("form")) {
        _ = form.unchecked_into::<web_sys::HtmlFormElement>().request_submit();
    }
}

/// A filter with a list to choose from; `chosen` is its value in the address.
pub fn choice(
    label: &'static str,
    name: &'static str,
    options: Vec<(String, String)>,
    chosen: impl Fn() -> Option<String> + Copy + Send + Sync + 'static,
) -> AnyView {
    let options = options
        .into_iter()
        .map(|(value, text)| {
            let mine = value.clone();
            let is_chosen = move || chosen().as_ref() == Some(&mine);
            view! {
                <option value=value selected=is_chosen.clone() prop:selected=is_chosen>
                    {text}
                </option>
            }
        })
        .collect_view();
    view! {
        <div class="filter">
            <label for=name>{label}</label>
            <select class="select" id=name name=name on:change=|event| send_form(&event)>
                <option value="" prop:selected=move || chosen().is_none()>
                    "Any"
                </option>
                {options}
            </select>
        </div>
    }
    .into_any()
}

fn date(label: &'static str, name: &'static str, value: impl Fn() -> String + Copy + Send + Sync + 'static) -> AnyView {
    view! {
        <div class="filter">
            <label for=name>{label}</label>
            <input
                class="input"
                type="datetime-local"
                id=name
                name=name
                value=value()
                prop:value=value
                on:change=|event| send_form(&event)
            />
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Filters {
        Filters::read(|name| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        let filters =
            read(&[("status", "great"), ("webhook_id", "x"), ("range", "9y"), ("from", "soon"), ("event", "")]);
        assert!(!filters.is_filtered());
        assert_eq!(filters.path(), "/deliveries");
    }

    #[test]
    fn the_address_and_back() {
        let filters = read(&[("status", "failed"), ("event", "job.created"), ("from", "2026-11-22T10:00")]);
        assert_eq!(filters.path(), "/deliveries?status=failed&event=job.created&from=2026-11-22T10%3A00%3A00.000Z");
        assert_eq!(field_text(filters.from), "2026-11-22T10:00");
        let chips = filters.chips(&[]);
        assert_eq!(
            chips[0],
            (
                "status",
                "Failed".to_owned(),
                "/deliveries?event=job.created&from=2026-11-22T10%3A00%3A00.000Z".to_owned()
            )
        );
        assert_eq!(chips[2].1, "2026-11-22 10:00 UTC");
    }
}
