//! A webhook as a form has it: all text, as it was typed. Turning it into a draft happens in the browser (to check) and on the
//! server (to store) by the same function; the rules themselves are `domain::validate_webhook`.

#[cfg(feature = "ssr")]
use domain::api::Webhook;
use domain::{
    CustomHeader, DeliveryOptions, EventPattern, Filter, Problems, RetryPolicy, SourceId, WebhookDraft, WebhookState,
};
use serde::{Deserialize, Serialize};

use super::{event_types::EventChoice, retry_form::RetryForm};
use crate::delay_text;

/// A form with what it offers to choose from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebhookFormScreen {
    /// What stands in it.
    pub form: WebhookForm,
    /// Whether its pace, order and age are not the usual ones.
    pub is_special: bool,
    /// The catalogue of events.
    pub events: Vec<EventChoice>,
    /// What it can be limited to, by name.
    pub sources: Vec<(SourceId, String)>,
    /// The policy of webhooks that have none of their own.
    pub retry_policy: RetryPolicy,
}

/// The fields of the form, named as they are posted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookForm {
    /// The webhook that is changed; empty for a new one.
    pub id: String,
    /// Its version when it was read; empty for a new one.
    pub version: String,
    /// "Webhook Name".
    pub name: String,
    /// "Webhook URL".
    pub url: String,
    /// For people.
    pub description: String,
    /// The ticked events and wildcards.
    pub events: Vec<String>,
    /// Names of the custom headers, row by row.
    pub header_names: Vec<String>,
    /// Their values; an empty one keeps what is stored.
    pub header_values: Vec<String>,
    /// The source it is limited to, or empty.
    pub source_id: String,
    /// Conditions as JSON, or empty.
    pub filter: String,
    /// Whether it has a retry policy of its own.
    pub own_policy: bool,
    /// That policy; the organization's while it has none.
    pub retry: RetryForm,
    /// "Rate limit" per second, or empty.
    pub rate_limit_per_s: String,
    /// "Requests in flight", or empty.
    pub max_in_flight: String,
    /// "Keep the order".
    pub ordered: bool,
    /// "Time to live" such as `1h`, or empty.
    pub time_to_live: String,
    /// "Disable after", in failures.
    pub disable_after: String,
    /// "Active".
    pub active: bool,
}

impl WebhookForm {
    /// What was typed, as a draft, and what in it could not be read.
    pub fn draft(&self) -> (WebhookDraft, Problems) {
        let mut problems = Problems::default();
        let filter = match self.filter.trim() {
            "" => Filter::default(),
            text => serde_json::from_str(text).unwrap_or_else(|error| {
                problems.add("filter", format!("Not a list of conditions such as the example: {error}"));
                Filter::default()
            }),
        };
        let retry_policy = self.own_policy.then(|| self.retry.policy());
        if let Some(Err(refused)) = &retry_policy {
            problems.add_inside("retry_policy", Err(refused.clone()));
        }
        let options = self.options(&mut problems);
        let draft = WebhookDraft {
            name: self.name.trim().to_owned(),
            url: self.url.trim().to_owned(),
            description: self.description.trim().to_owned(),
            events: without_covered(&self.events),
            headers: self.headers(),
            source_id: self.source_id.parse().ok(),
            filter,
            retry_policy: retry_policy.and_then(Result::ok),
            options,
            state: if self.active { WebhookState::Active } else { WebhookState::Disabled },
            version: self.version.parse().ok(),
            ..WebhookDraft::default()
        };
        (draft, problems)
    }

    fn options(&self, problems: &mut Problems) -> DeliveryOptions {
        let mut number = |field: &str, text: &str| match text.trim() {
            "" => None,
            text => text.parse::<u32>().map_err(|_| problems.add(field, "Please enter a whole number")).ok(),
        };
        let (rate_limit_per_s, max_in_flight, disable_after) = (
            number("options.rate_limit_per_s", &self.rate_limit_per_s),
            number("options.max_in_flight", &self.max_in_flight),
            number("options.disable_after", &self.disable_after),
        );
        let time_to_live_s = match self.time_to_live.trim() {
            "" => None,
            text => delay_text::seconds(text).map_err(|message| problems.add("options.time_to_live_s", message)).ok(),
        };
        DeliveryOptions {
            rate_limit_per_s,
            max_in_flight,
            ordered: self.ordered,
            time_to_live_s,
            disable_after: disable_after.unwrap_or(0),
        }
    }

    fn headers(&self) -> Vec<CustomHeader> {
        let rows = self.header_names.iter().enumerate().filter(|(_, name)| !name.trim().is_empty());
        rows.map(|(row, name)| CustomHeader {
            name: name.trim().to_owned(),
            value: self.header_values.get(row).filter(|value| !value.is_empty()).cloned(),
        })
        .collect()
    }
}

#[cfg(feature = "ssr")]
impl WebhookForm {
    /// The form of a new webhook in an organization with this policy.
    pub fn blank(policy: &RetryPolicy) -> Self {
        Self { active: true, retry: RetryForm::of(policy), ..Self::default() }.with_options(DeliveryOptions::default())
    }

    /// The form of a webhook that exists, in an organization with this policy.
    pub fn of(webhook: &Webhook, policy: &RetryPolicy) -> Self {
        let form = Self {
            id: webhook.id.to_string(),
            version: webhook.version.to_string(),
            name: webhook.name.clone(),
            url: webhook.url.clone(),
            description: webhook.description.clone(),
            events: webhook.events.clone(),
            header_names: webhook.headers.iter().map(|header| header.name.clone()).collect(),
            header_values: Vec::new(),
            source_id: webhook.source_id.map(|id| id.to_string()).unwrap_or_default(),
            filter: filter_text(&webhook.filter),
            own_policy: webhook.retry_policy.is_some(),
            retry: RetryForm::of(webhook.retry_policy.as_ref().unwrap_or(policy)),
            active: webhook.state == WebhookState::Active,
            ..Self::default()
        };
        form.with_options(webhook.options)
    }

    fn with_options(self, options: DeliveryOptions) -> Self {
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        Self {
            rate_limit_per_s: number(options.rate_limit_per_s),
            max_in_flight: number(options.max_in_flight),
            ordered: options.ordered,
            time_to_live: options.time_to_live_s.map(delay_text::text).unwrap_or_default(),
            disable_after: options.disable_after.to_string(),
            ..self
        }
    }

    /// Whether its pace, order and age are not the usual ones, or not readable.
    pub fn is_special(&self) -> bool {
        let mut problems = Problems::default();
        self.options(&mut problems) != DeliveryOptions::default() || !problems.is_empty()
    }

    /// What may travel back in an address after an error: everything but the values of headers, which can be credentials.
    pub fn typed(&self) -> String {
        let header_names = self.header_names.iter().filter(|name| !name.is_empty()).cloned().collect();
        let harmless = Self { header_names, header_values: Vec::new(), ..self.clone() };
        serde_json::to_string(&harmless).unwrap_or_default()
    }

    /// What was typed before an error, if anything was, for the same webhook as it is stored now.
    pub fn or_typed(self, typed: Option<String>) -> Self {
        match typed.and_then(|text| serde_json::from_str::<Self>(&text).ok()) {
            Some(typed) => Self { id: self.id, version: self.version, ..typed },
            None => self,
        }
    }
}

#[cfg(feature = "ssr")]
fn filter_text(filter: &Filter) -> String {
    if filter.is_empty() {
        return String::new();
    }
    let text = serde_json::to_string(filter).unwrap_or_default();
    crate::json_text::pretty(&text).unwrap_or(text)
}

/// Leaves out events that a ticked wildcard covers anyway.
fn without_covered(events: &[String]) -> Vec<String> {
    let wildcards: Vec<EventPattern> =
        events.iter().filter_map(|event| event.parse().ok()).filter(EventPattern::is_wildcard).collect();
    let covered = |event: &str| wildcards.iter().any(|wildcard| wildcard.as_str() != event && wildcard.matches(event));
    events.iter().filter(|event| !covered(event)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn wildcards_swallow_what_they_cover() {
        assert_eq!(without_covered(&texts(&["job.*", "job.created", "user.created"])), ["job.*", "user.created"]);
        assert_eq!(without_covered(&texts(&["*", "job.*", "job.created"])), ["*"]);
        assert_eq!(without_covered(&texts(&["job.created"])), ["job.created"]);
    }

    #[test]
    fn empty_rows_are_no_headers_and_empty_values_keep_what_is_stored() {
        let form = WebhookForm {
            header_names: texts(&["X-A", " ", "X-B"]),
            header_values: texts(&["", "ignored", "b"]),
            ..WebhookForm::default()
        };
        let header =
            |name: &str, value: Option<&str>| CustomHeader { name: name.into(), value: value.map(str::to_owned) };
        assert_eq!(form.draft().0.headers, [header("X-A", None), header("X-B", Some("b"))]);
    }

    #[test]
    fn a_filter_that_is_no_list_is_named() {
        let form = WebhookForm { filter: "{".into(), ..WebhookForm::default() };
        assert_eq!(form.draft().1.into_vec()[0].field, "filter");
    }

    #[test]
    fn policy_and_options_are_named_inside_the_webhook() {
        let mut form = WebhookForm::blank(&RetryPolicy::default());
        let (draft, problems) = form.draft();
        assert!(problems.is_empty());
        assert_eq!((draft.retry_policy, draft.options), (None, DeliveryOptions::default()));
        form.own_policy = true;
        form.retry.max_retries = "11".into();
        form.rate_limit_per_s = "fast".into();
        form.time_to_live = "soon".into();
        let fields: Vec<_> = form.draft().1.into_vec().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["retry_policy.max_retries", "options.rate_limit_per_s", "options.time_to_live_s"]);
        form.retry.max_retries = "4".into();
        form.rate_limit_per_s = "5".into();
        form.time_to_live = "2h".into();
        form.disable_after = String::new();
        let (draft, problems) = form.draft();
        assert!(problems.is_empty());
        assert_eq!(draft.retry_policy.map(|policy| policy.max_retries), Some(4));
        let options = DeliveryOptions {
            rate_limit_per_s: Some(5),
            time_to_live_s: Some(7_200),
            disable_after: 0,
            ..DeliveryOptions::default()
        };
        assert_eq!(draft.options, options);
    }
}
