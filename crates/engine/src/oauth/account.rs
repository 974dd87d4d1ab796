//! Using a connection: whose account it is, whether it works, which calendars it has.

use std::sync::Arc;

use domain::{
    IntegrationId, Permission,
    api::{ApiError, Calendar, ErrorCode},
    catalogue::{Fault, Oauth},
};
use serde_json::Value;
use storage::IntegrationRow;
use tokio::time::Instant;
use url::Url;

use super::{
    application::Application,
    exchange::{Exchanged, get_json},
    refresh::NoAccess,
};
use crate::{Actor, Engine, Inner, Result, integrations::Probed, secrets::Secret};

/// Most calendars that are shown.
const MOST: usize = 250;

/// Whose account it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub id: Option<String>,
    pub name: Option<String>,
}

impl Account {
    fn of(oauth: &Oauth, said: &Value) -> Self {
        let first = |names: &[String]| {
            let found = names.iter().filter_map(|name| said.get(name)).find_map(|value| match value {
                Value::String(text) if !text.is_empty() => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            });
            found.map(|text| text.chars().filter(|c| !c.is_control()).take(200).collect())
        };
        Self { id: first(&oauth.account_ids), name: first(&oauth.account_names) }
    }
}

/// Asks whose account a token is of. A provider that does not say is no reason to refuse the account.
pub(super) async fn account(inner: &Inner, application: &Application, token: &Secret) -> Account {
    let Some(url) = application.userinfo_url.clone() else { return Account::default() };
    match get_json(inner, url, Some(token)).await {
        Exchanged::Answer(said) => Account::of(&application.oauth, &said),
        Exchanged::Refused { detail, .. } | Exchanged::Unanswered { detail, .. } => {
            tracing::warn!(detail, provider = application.provider, "the provider does not say whose account it is");
            Account::default()
        }
    }
}

/// What a call of the account's API came to.
enum Called {
    Answer(Value, String),
    Failed { fault: Fault, code: Option<u16>, detail: String, message: Option<String>, target: String },
}

impl Inner {
    /// Calls the account's API with an access token that lives. One that is refused is refreshed, once.
    async fn call(self: &Arc<Self>, row: &IntegrationRow, address: impl Fn(&Application) -> Option<Url>) -> Called {
        let mut used = None;
        loop {
            let access = match self.access(row, used).await {
                Ok(access) => access,
                Err(no) => return no_access(no),
            };
            let application = match Application::of(self, row, &access.connection.known).await {
                Ok(application) => application,
                Err(detail) => return failed(Fault::Misconfigured, None, detail, String::new()),
            };
            let Some(url) = address(&application) else {
                return Called::Answer(Value::Null, String::new());
            };
            let target =
                format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
            match get_json(self, url, Some(&access.token)).await {
                Exchanged::Answer(said) => return Called::Answer(said, target),
                Exchanged::Refused { status: 401, .. }
                    if used.is_none() && access.connection.refresh_token.is_some() =>
                {
                    used = Some(access.generation);
                }
                Exchanged::Refused { status, detail, .. } => {
                    // It said yes, and what it said is no JSON.
                    let fault = Fault::of_status(status).unwrap_or(Fault::Garbage);
                    return failed(fault, Some(status), detail, target);
                }
                Exchanged::Unanswered { may_be_done, detail } => {
                    let fault = if may_be_done { Fault::Timeout } else { Fault::Refused };
                    return failed(fault, None, detail, target);
                }
            }
        }
    }

    /// Whether a connection works: a real call with a real token.
    pub(crate) async fn probe_connection(self: &Arc<Self>, row: &IntegrationRow, provider: &str) -> Probed {
        let began = Instant::now();
        let called = self.call(row, |application| application.userinfo_url.clone()).await;
        let latency_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        match called {
            Called::Answer(said, target) => {
                let oauth = self.providers.oauth(&row.integration.provider);
                let name = oauth.and_then(|oauth| Account::of(oauth, &said).name);
                let detail =
                    name.map_or_else(|| "The access is valid".to_owned(), |name| format!("Connected as {name}"));
                let message = format!("Connected to {provider}");
                Probed { latency_ms, fault: None, message, detail, code: None, target }
            }
            Called::Failed { fault, code, detail, message, target } => {
                let message = message.unwrap_or_else(|| match fault {
                    Fault::Misconfigured => detail.clone(),
                    fault => fault.message(provider, None),
                });
                Probed { latency_ms, fault: Some(fault), message, detail, code, target }
            }
        }
    }
}

fn failed(fault: Fault, code: Option<u16>, detail: String, target: String) -> Called {
    Called::Failed { fault, code, detail, message: None, target }
}

fn no_access(no: NoAccess) -> Called {
    match no {
        NoAccess::NotConnected => {
            failed(Fault::Misconfigured, None, "The account is not connected yet".to_owned(), String::new())
        }
        NoAccess::Broken { problem } => Called::Failed {
            fault: Fault::Authentication,
            code: None,
            detail: problem.clone(),
            message: Some(problem),
            target: String::new(),
        },
        NoAccess::Later { detail, .. } => failed(Fault::Outage, None, detail, String::new()),
        NoAccess::Store(error) => failed(Fault::Outage, None, error.to_string(), String::new()),
    }
}

impl Engine {
    /// The calendars of the account, at most 250.
    pub async fn calendars(&self, actor: &Actor, id: IntegrationId) -> Result<Vec<Calendar>> {
        actor.require(Permission::ReadIntegrations)?;
        let (row, provider) = self.oauth_integration(actor, id).await?;
        let Some(listing) = self.inner.providers.oauth(&provider.id).and_then(|oauth| oauth.calendars.clone()) else {
            return Err(ApiError::new(ErrorCode::Conflict, format!("{} has no calendars.", provider.name)));
        };
        match self.inner.call(&row, |application| application.calendars_url.clone()).await {
            Called::Answer(said, _) => {
                let text = |item: &Value, name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
                let items = said.get(&listing.items).and_then(Value::as_array).cloned().unwrap_or_default();
                let typed = |item: &Value| {
                    let id = text(item, &listing.id)?;
                    Some(Calendar { name: text(item, &listing.name).unwrap_or_else(|| id.clone()), id })
                };
                Ok(items.iter().filter_map(typed).take(MOST).collect())
            }
            Called::Failed { fault, detail, message, .. } => {
                let message = message.unwrap_or_else(|| fault.message(&provider.name, None));
                Err(ApiError::new(ErrorCode::Unavailable, format!("{message} ({detail})")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn accounts_are_named_as_their_owners_know_them() {
        let oauth: Oauth = serde_json::from_value(json!({"authorize_url": "a", "token_url": "t"})).unwrap();
        let google = Account::of(&oauth, &json!({"sub": "1", "email": "john@company.com", "name": "John"}));
        assert_eq!((google.id.as_deref(), google.name.as_deref()), (Some("1"), Some("john@company.com")));
        let microsoft =
            Account::of(&oauth, &json!({"id": "x", "mail": null, "userPrincipalName": "j@c.onmicrosoft.com"}));
        assert_eq!((microsoft.id.as_deref(), microsoft.name.as_deref()), (Some("x"), Some("j@c.onmicrosoft.com")));
        assert_eq!(Account::of(&oauth, &Value::Null), Account::default());
    }
}
