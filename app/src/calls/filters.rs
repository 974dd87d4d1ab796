//! What lists can be filtered by.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{codec::ByJson, error::CallError};

/// A value of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// In the address.
    pub value: String,
    /// For people.
    pub text: String,
}

/// The values of one filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChoices {
    /// Its name in the address.
    pub field: String,
    /// In the order in which they are offered.
    pub choices: Vec<Choice>,
}

/// What there is to choose from, for all lists.
#[server(prefix = "/_ui", endpoint = "filters/choices", protocol = ByJson)]
pub async fn filter_choices() -> Result<Vec<FieldChoices>, CallError> {
    use domain::{
        api::{CodeClass, TimeRange},
        delivery::{DeliveryState, ErrorClass},
    };

    use crate::components::status::delivery_word;

    fn of(field: &str, choices: impl Iterator<Item = (String, String)>) -> FieldChoices {
        let choices = choices.map(|(value, text)| Choice { value, text }).collect();
        FieldChoices { field: field.to_owned(), choices }
    }
    let (engine, actor) = crate::ssr::caller()?;
    let webhooks = engine.webhooks(&actor, None, Some(200)).await?.data;
    let types = engine.event_types(&actor).await?;
    let sources = engine.sources(&actor).await?;
    let code = |code: CodeClass| match code {
        CodeClass::None => (code.to_string(), "No answer".to_owned()),
        _ => (code.to_string(), code.to_string()),
    };
    let range = |range: TimeRange| {
        let text = match range {
            TimeRange::Minutes15 => "Last 15 minutes",
            TimeRange::Hour => "Last hour",
            TimeRange::Day => "Last 24 hours",
            TimeRange::Week => "Last 7 days",
            TimeRange::Month => "Last 30 days",
        };
        (range.to_string(), text.to_owned())
    };
    Ok(vec![
        of("status", DeliveryState::ALL.into_iter().map(|it| (it.to_string(), delivery_word(it).to_owned()))),
        of("webhook_id", webhooks.into_iter().map(|it| (it.id.to_string(), it.name))),
        of("event", types.into_iter().map(|it| (it.name.clone(), it.name))),
        of("source_id", sources.into_iter().map(|it| (it.id.to_string(), it.name))),
        of("code", CodeClass::ALL.into_iter().map(code)),
        of("error", ErrorClass::ALL.into_iter().map(|it| (it.to_string(), it.title().to_owned()))),
        of("range", TimeRange::ALL.into_iter().map(range)),
    ])
}
