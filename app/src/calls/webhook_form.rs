//! A webhook as a form has it: all text, as it was typed. Turning it into a draft happens in the browser (to check) and on the
//! server (to store) by the same function; the rules themselves are `domain::validate_webhook`.

use domain::{CustomHeader, EventPattern, Filter, Problems, WebhookDraft, WebhookState, api::Webhook};
use serde::{Deserialize, Serialize};

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
    /// "Active".
    pub active: bool,
}

impl WebhookForm {
    /// The form of a webhook that exists.
    pub fn of(webhook: &Webhook) -> Self {
        Self {
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
            active: webhook.state == WebhookState::Active,
        }
    }

    /// What was typed, as a draft.
    pub fn draft(&self) -> Result<WebhookDraft, Problems> {
        let filter = match self.filter.trim() {
            "" => Filter::default(),
            text => serde_json::from_str(text).map_err(|error| {
                Problems::one("filter", format!("Not a list of conditions such as the example: {error}"))
            })?,
        };
        Ok(WebhookDraft {
            name: self.name.trim().to_owned(),
            url: self.url.trim().to_owned(),
            description: self.description.trim().to_owned(),
            events: without_covered(&self.events),
            headers: self.headers(),
            source_id: self.source_id.parse().ok(),
            filter,
            state: if self.active { WebhookState::Active } else { WebhookState::Disabled },
            version: self.version.parse().ok(),
            ..WebhookDraft::default()
        })
    }

    fn headers(&self) -> Vec<CustomHeader> {
        let rows = self.header_names.iter().enumerate().filter(|(_, name)| !name.trim().is_empty());
        rows.map(|(row, name)| CustomHeader {
            name: name.trim().to_owned(),
            value: self.header_values.get(row).filter(|value| !value.is_empty()).cloned(),
        })
        .collect()
    }

    #[cfg(feature = "ssr")]
    /// What may travel back in an address after an error: everything but the values of headers, which can be credentials.
    pub fn typed(&self) -> Vec<(&'static str, &str)> {
        let mut typed = vec![
            ("name", self.name.as_str()),
            ("url", &self.url),
            ("description", &self.description),
            ("source_id", &self.source_id),
            ("filter", &self.filter),
            ("active", if self.active { "true" } else { "" }),
        ];
        typed.extend(self.events.iter().map(|event| ("events", event.as_str())));
        typed.extend(self.header_names.iter().filter(|name| !name.is_empty()).map(|name| ("header", name.as_str())));
        typed
    }

    /// Puts what was typed before an error over what is stored. `get` reads one value of the address, `all` all of them.
    pub fn or_typed(mut self, get: impl Fn(&str) -> Option<String>, all: impl Fn(&str) -> Vec<String>) -> Self {
        if let (Some(name), Some(url)) = (get("name"), get("url")) {
            self.name = name;
            self.url = url;
            self.description = get("description").unwrap_or_default();
            self.source_id = get("source_id").unwrap_or_default();
            self.filter = get("filter").unwrap_or_default();
            self.active = get("active").is_some_and(|active| active == "true");
            self.events = all("events");
            self.header_names = all("header");
        }
        self
    }
}

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
        assert_eq!(form.draft().unwrap().headers, [header("X-A", None), header("X-B", Some("b"))]);
    }

    #[test]
    fn a_filter_that_is_no_list_is_named() {
        let form = WebhookForm { filter: "{".into(), ..WebhookForm::default() };
        assert_eq!(form.draft().unwrap_err().into_vec()[0].field, "filter");
    }
}
