//! Changing an integration, sending a test e-mail through it, and the end of it.

use domain::{Permission, api::EmailUsage};
use leptos::prelude::*;

use super::super::fields;
use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::integrations::{DeleteIntegration, SaveIntegration, SendTestEmail, SettingsScreen},
    components::{
        field::{FormProblem, Refusal, TextField},
        icon::icon,
        loaded::loaded,
        status::thousands,
    },
    pages::lazy::Shown,
    session::{Session, may},
};

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn integration_settings(
    settings: Answer<Option<SettingsScreen>>,
    save: ServerAction<SaveIntegration>,
    mail: ServerAction<SendTestEmail>,
    delete: ServerAction<DeleteIntegration>,
) -> Shown {
    Ok(loaded(settings, move |screen| screen.map(|screen| tab(screen, save, mail, delete))))
}

fn tab(
    screen: SettingsScreen,
    save: ServerAction<SaveIntegration>,
    mail: ServerAction<SendTestEmail>,
    delete: ServerAction<DeleteIntegration>,
) -> AnyView {
    let SettingsScreen { form, usage } = screen;
    let (id, name) = (form.form.id.clone(), form.form.name.clone());
    let sends_mail = usage.is_some() && may(Permission::OperateIntegrations);
    view! {
        <div class="stack-wide page-narrow">
            {usage.as_ref().map(meters)}
            {fields::form(form, save)}
            {sends_mail.then(|| test_email(id.clone(), mail))}
            {may(Permission::WriteIntegrations).then(|| deletion(id.clone(), name, delete))}
        </div>
    }
    .into_any()
}

/// What was sent against what may be.
fn meters(usage: &EmailUsage) -> AnyView {
    let meter = |sent: i64, limit: Option<i64>, when: &'static str| {
        let words = match limit {
            Some(limit) => format!("{} of {} {when}", thousands(sent), thousands(limit)),
            None => format!("{} {when}", thousands(sent)),
        };
        view! {
            <div class="meter">
                <span class="num">{words}</span>
                {limit.map(|limit| view! { <progress max=limit value=sent.min(limit) aria-label=format!("Sent {when}")></progress> })}
            </div>
        }
    };
    view! {
        <section class="card" aria-labelledby="usage">
            <h2 id="usage">"Current usage"</h2>
            <div class="meters">
                {meter(usage.hour, usage.hour_limit, "this hour")} {meter(usage.day, usage.day_limit, "today")}
            </div>
        </section>
    }
    .into_any()
}

fn test_email(id: String, mail: ServerAction<SendTestEmail>) -> AnyView {
    let refusal = Refusal::of(mail);
    let pending = mail.pending();
    let own = use_context::<Session>().map(|session| session.email).unwrap_or_default();
    let sent = move || mail.answer().and_then(Result::ok).map(|found| fields::result(&found));
    view! {
        <section class="card form" aria-labelledby="test-email">
            <h2 id="test-email">"Test e-mail"</h2>
            <p class="muted">"Sent through the settings that are saved; the server's own reply is shown."</p>
            <ActionForm action=mail attr:class="stack" attr:novalidate=true>
                <FormProblem refusal />
                <input type="hidden" name="id" value=id />
                <TextField label="To" name="to" kind="email" value=own refusal />
                <div>
                    <button class="btn" disabled=move || pending.get()>
                        {icon("send")}
                        "Send Test Email"
                    </button>
                </div>
            </ActionForm>
            <div aria-live="polite">{sent}</div>
        </section>
    }
    .into_any()
}

fn deletion(id: String, name: String, delete: ServerAction<DeleteIntegration>) -> AnyView {
    let refusal = Refusal::of(delete);
    let pending = delete.pending();
    view! {
        <section class="card danger" aria-labelledby="delete">
            <h2 id="delete">"Delete integration"</h2>
            <p class="muted">
                "Its secrets and what is known of its health go with it. Disabling keeps it and can be undone; deleting cannot."
            </p>
            <details class="confirm">
                <summary class="btn btn-danger">{icon("trash")} "Delete integration"</summary>
                <ActionForm action=delete attr:class="confirm-box">
                    <FormProblem refusal />
                    <p>"Delete " <strong>{name}</strong> " for good?"</p>
                    <input type="hidden" name="id" value=id />
                    <button class="btn btn-danger" disabled=pending>
                        "Yes, delete it"
                    </button>
                </ActionForm>
            </details>
        </section>
    }
    .into_any()
}
