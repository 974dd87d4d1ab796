//! Which alerts the member who looks is told of, and how.

use domain::{AlertRule, NotificationPreferences, Severity};
use leptos::prelude::*;

use crate::{
    action::{ActionForm, ServerAction},
    calls::alerts::SaveNotifications,
    components::field::{FormProblem, Refusal},
};

/// The form: a row for each kind of alert, what matters most first.
pub fn form(preferences: &NotificationPreferences, save: ServerAction<SaveNotifications>) -> AnyView {
    let refusal = Refusal::of(save);
    let pending = save.pending();
    let mut rules = AlertRule::ALL.to_vec();
    rules.sort_by_key(|rule| rule.severity());
    let rows = rules.into_iter().map(|rule| row(rule, preferences)).collect_view();
    view! {
        <ActionForm action=save attr:class="card form">
            <FormProblem refusal />
            <div class="table-wrap">
                <table class="table">
                    <caption class="sr-only">"Alerts that you are told of"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Alert"</th>
                            <th scope="col">"Severity"</th>
                            <th scope="col">"E-mail"</th>
                            <th scope="col">"Browser"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            <p class="muted">
                "E-mails go to the address that you sign in with. The browser tells of alerts while a tab is open, once you allowed it on the page of "
                <a href="/alerts">"alerts"</a> "."
            </p>
            <div class="form-foot">
                <button class="btn btn-primary" disabled=pending>
                    "Save notifications"
                </button>
            </div>
        </ActionForm>
    }
    .into_any()
}

fn row(rule: AlertRule, told: &NotificationPreferences) -> AnyView {
    view! {
        <tr>
            <td class="primary">{rule.label()}</td>
            <td class="muted">{severity(rule.severity())}</td>
            {choice(rule, "email[]", "E-mail", told.email.contains(&rule))}
            {choice(rule, "browser[]", "Browser", told.browser.contains(&rule))}
        </tr>
    }
    .into_any()
}

fn choice(rule: AlertRule, name: &'static str, label: &'static str, is_told: bool) -> AnyView {
    let spoken = format!("{}: {label}", rule.label());
    view! {
        <td>
            <label class="check">
                <input type="checkbox" class="checkbox" name=name value=rule.as_str() aria-label=spoken checked=is_told />
                {label}
            </label>
        </td>
    }
    .into_any()
}

const fn severity(of: Severity) -> &'static str {
    match of {
        Severity::Critical => "Critical",
        Severity::Warning => "Warning",
        Severity::Info => "Notice",
    }
}
