//! The filters of `/dead-letters`: read from the address, written into it. A filter that makes no sense is left out.

use domain::{
    WebhookId,
    api::{DeadLetterCount, DeadLetterQuery, JobKind},
    delivery::ErrorClass,
};
use leptos::{ev::SubmitEvent, form::form_data_from_event, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};

use crate::{calls::jobs::Bulk, components::problem::encode, pages::deliveries::filters::choice};

/// What is filtered by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    webhook_id: Option<WebhookId>,
    event: Option<String>,
    error: Option<ErrorClass>,
    /// Where a later page begins.
    pub cursor: Option<String>,
}

impl Filters {
    /// Reads the address.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name| get(name).filter(|text| !text.is_empty());
        Self {
            webhook_id: get("webhook_id").and_then(|text| text.parse().ok()),
            event: get("event"),
            error: get("error").and_then(|text| text.parse().ok()),
            cursor: get("cursor"),
        }
    }

    /// As the server is asked.
    pub fn query(&self) -> DeadLetterQuery {
        DeadLetterQuery {
            webhook_id: self.webhook_id,
            event: self.event.clone(),
            error: self.error,
            limit: Some(50),
            cursor: self.cursor.clone(),
            ..DeadLetterQuery::default()
        }
    }

    /// Work on everything that matches.
    pub fn bulk(&self, kind: JobKind) -> Bulk {
        Bulk { kind, webhook_id: self.webhook_id, event: self.event.clone(), error: self.error }
    }

    /// Whether anything is left out.
    pub fn is_filtered(&self) -> bool {
        *self != Self { cursor: self.cursor.clone(), ..Self::default() }
    }

    /// Whether a delivery of this webhook and type, which failed so, is not left out.
    pub fn lets_pass(&self, webhook: WebhookId, event: &str, error: Option<ErrorClass>) -> bool {
        self.webhook_id.is_none_or(|wanted| wanted == webhook)
            && self.event.as_ref().is_none_or(|wanted| wanted == event)
            && self.error.is_none_or(|wanted| Some(wanted) == error)
    }

    /// How many match, if that is known without counting.
    pub fn matching(&self, counts: &[DeadLetterCount]) -> Option<i64> {
        let wanted = |count: &&DeadLetterCount| self.webhook_id.is_none_or(|webhook| webhook == count.webhook_id);
        let sum = counts.iter().filter(wanted).map(|count| count.dead_letters).sum();
        (self.event.is_none() && self.error.is_none()).then_some(sum)
    }

    /// The address of the newest page.
    pub fn path(&self) -> String {
        let pairs = [
            ("webhook_id", self.webhook_id.map(|id| id.to_string())),
            ("event", self.event.clone()),
            ("error", self.error.map(|error| error.as_str().to_owned())),
        ];
        let query: Vec<String> =
            pairs.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?)))).collect();
        if query.is_empty() { "/dead-letters".to_owned() } else { format!("/dead-letters?{}", query.join("&")) }
    }
}

/// The form.
pub fn filter_bar(filters: Memo<Filters>, (webhooks, events): (Vec<(String, String)>, Vec<String>)) -> AnyView {
    let navigate = use_navigate();
    let submit = move |event: SubmitEvent| {
        let Ok(form) = form_data_from_event(&event) else { return };
        event.prevent_default();
        let filters = Filters::read(|name| form.get(name).as_string());
        navigate(&filters.path(), NavigateOptions { scroll: false, ..NavigateOptions::default() });
    };
    let chosen = move || filters.get();
    let names = events.into_iter().map(|event| (event.clone(), event)).collect();
    let errors = ErrorClass::ALL.map(|error| (error.as_str().to_owned(), error.title().to_owned())).to_vec();
    view! {
        <form method="get" action="/dead-letters" class="toolbar filters" aria-label="Filters" on:submit=submit>
            {choice("Webhook", "webhook_id", webhooks, move || chosen().webhook_id.map(|id| id.to_string()))}
            {choice("Event", "event", names, move || chosen().event)}
            {choice("Reason", "error", errors, move || chosen().error.map(|error| error.as_str().to_owned()))}
            <button class="btn no-js">"Apply"</button>
            <a class="btn btn-ghost" href="/dead-letters" hidden=move || !filters.read().is_filtered()>
                "Show all"
            </a>
        </form>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{PublicId, Timestamp};

    #[test]
    fn the_address_and_back() {
        let read = |pairs: &[(&str, &str)]| {
            Filters::read(|name| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
        };
        let nonsense = read(&[("webhook_id", "x"), ("error", "great"), ("event", "")]);
        assert!(!nonsense.is_filtered());
        assert_eq!(nonsense.path(), "/dead-letters");
        let filters = read(&[("event", "job.created"), ("error", "dns"), ("cursor", "dlv_1")]);
        assert!(filters.is_filtered());
        assert_eq!(filters.path(), "/dead-letters?event=job.created&error=dns");
    }

    #[test]
    fn what_is_known_without_counting() {
        let webhook = |n: u8| WebhookId::new(Timestamp::from_millis(1), [n; 10]);
        let count =
            |n, dead_letters| DeadLetterCount { webhook_id: webhook(n), webhook_name: String::new(), dead_letters };
        let counts = [count(1, 5), count(2, 7)];
        let all = Filters::default();
        assert_eq!(all.matching(&counts), Some(12));
        let one = Filters { webhook_id: Some(webhook(2)), ..all.clone() };
        assert_eq!(one.matching(&counts), Some(7));
        assert_eq!(Filters { error: Some(ErrorClass::Dns), ..one.clone() }.matching(&counts), None);
        assert!(one.lets_pass(webhook(2), "job.created", None) && !one.lets_pass(webhook(1), "job.created", None));
    }
}
