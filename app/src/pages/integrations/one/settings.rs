//! Changing an integration, sending a test e-mail through it, and the end of it.

use domain::{Permission, catalogue::ConnectionKind};
use leptos::prelude::*;

use super::super::fields;
use crate::{
    calls::integrations::{DeleteIntegration, IntegrationForm, IntegrationScreen, SaveIntegration, SendTestEmail},
    components::{
        field::{FormProblem, Refusal, TextField},
        icon::icon,
    },
    session::{Session, may},
};

/// The tab.
pub fn tab(
    screen: &IntegrationScreen,
    save: ServerAction<SaveIntegration>,
    mail: ServerAction<SendTestEmail>,
    delete: ServerAction<DeleteIntegration>,
) -> AnyView {
    let IntegrationScreen { integration, provider, redirect_uri } = screen;
    let form = IntegrationForm::of(integration);
    let sends_mail = provider.connection == ConnectionKind::Smtp && may(Permission::OperateIntegrations);
    view! {
        <div class="stack-wide page-narrow">
            {fields::form(provider, form, &integration.secrets, redirect_uri.as_deref(), save)}
            {sends_mail.then(|| test_email(screen, mail))}
            {may(Permission::WriteIntegrations).then(|| deletion(screen, delete))}
        </div>
    }
    .into_any()
}

fn test_email(screen: &IntegrationScreen, mail: ServerAction<SendTestEmail>) -> AnyView {
    let refusal = Refusal::of(mail);
    let pending = mail.pending();
    let own = use_context::<Session>().map(|session| session.email).unwrap_or_default();
    let id = screen.integration.id.to_string();
    let sent = move || mail.value().get().and_then(Result::ok).map(|found| fields::result(&found));
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

fn deletion(screen: &IntegrationScreen, delete: ServerAction<DeleteIntegration>) -> AnyView {
    let refusal = Refusal::of(delete);
    let pending = delete.pending();
    let (id, name) = (screen.integration.id.to_string(), screen.integration.name.clone());
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
