//! The panel of a new installation: three clicks to a verified delivery, and the commands to publish an own event. It goes by
//! itself once deliveries are ordinary.

use domain::api::Overview;
use leptos::prelude::*;

use crate::{
    action::{ActionForm, ServerAction},
    calls::overview::{CreateFirstWebhook, FirstRun, SendFirstTest},
    components::{
        copy::CopyButton,
        field::{FormProblem, Refusal},
        icon::icon,
        status::{Tone, status},
    },
    pages::lazy::Shown,
};

/// What the first two steps do; made by the page, so that they outlive what is shown of them.
#[derive(Clone, Copy)]
pub struct Steps {
    /// The first step.
    pub create: ServerAction<CreateFirstWebhook>,
    /// The second step.
    pub test: ServerAction<SendFirstTest>,
}

/// Fetches the code of the panel, if the server showed it; true once it is here, or not needed.
#[cfg(feature = "hydrate")]
pub async fn fetch() -> bool {
    let is_shown = document().query_selector(".first-run").is_ok_and(|found| found.is_some());
    !is_shown || __preload_first_run().await.is_ok()
}

/// The three steps.
#[lazy(later_first_run, fallible)]
pub fn first_run(figures: Overview, needed: FirstRun, Steps { create, test }: Steps) -> Shown {
    let done = [needed.webhook_id.is_some(), figures.has_delivered, figures.has_verified];
    let webhook_id = needed.webhook_id.map(|id| id.to_string()).unwrap_or_default();
    let (creating, testing) = (create.pending(), test.pending());
    let (create_refusal, test_refusal) = (Refusal::of(create), Refusal::of(test));
    let command = publish_command(&needed.inspector);
    let may_write = crate::session::may(domain::Permission::WriteWebhooks);
    let view = view! {
        <section class="card first-run" aria-labelledby="first-run">
            <div class="first-run-head">
                <h2 id="first-run">"Your first delivery in three clicks"</h2>
                <p class="muted">"The Inspector is a receiver that is built in: it records what it gets and checks the signature."</p>
            </div>
            <ol class="steps">
                <li class:done=done[0]>
                    {step_mark(1, done[0])}
                    <div class="grow">
                        <h3>"Create a webhook to your Inspector"</h3>
                        <p class="muted">"It subscribes to every event."</p>
                    </div>
                    <ActionForm action=create>
                        <FormProblem refusal=create_refusal />
                        <button class=button(!done[0]) disabled=move || done[0] || !may_write || creating.get()>
                            "Create webhook"
                        </button>
                    </ActionForm>
                </li>
                <li class:done=done[1]>
                    {step_mark(2, done[1])}
                    <div class="grow">
                        <h3>"Send Test Webhook"</h3>
                        <p class="muted">"A signed sample event goes out like any other."</p>
                    </div>
                    <ActionForm action=test>
                        <FormProblem refusal=test_refusal />
                        <input type="hidden" name="id" value=webhook_id />
                        <button class=button(done[0] && !done[1]) disabled=move || !done[0] || testing.get()>
                            "Send Test Webhook"
                        </button>
                    </ActionForm>
                </li>
                <li class:done=done[2]>
                    {step_mark(3, done[2])}
                    <div class="grow">
                        <h3>"See it verified"</h3>
                        <p class="muted">"The signature of what arrived fits the webhook's secret."</p>
                    </div>
                    {if done[2] {
                        status(Tone::Good, "check", "Verified")
                    } else {
                        status(Tone::Idle, "clock", "Waiting")
                    }} <a class="btn" href="/inspector">
                        "Open Inspector"
                    </a>
                </li>
            </ol>
            <div class="first-run-foot">
                <div class="block-head">
                    <p class="grow">
                        "Then publish an event of your own, with an " <a class="link" href="/api">"API key"</a> ":"
                    </p>
                    <CopyButton text=command.clone() label="Copy command" visible=true />
                </div>
                <pre class="code" tabindex="0" aria-label="Command">{command}</pre>
            </div>
        </section>
    };
    Ok(view.into_any())
}

const fn button(is_next: bool) -> &'static str {
    if is_next { "btn btn-primary" } else { "btn" }
}

fn step_mark(number: u8, done: bool) -> AnyView {
    if done {
        view! { <span class="step-mark">{icon("check")} <span class="sr-only">"Done"</span></span> }.into_any()
    } else {
        view! { <span class="step-mark num" aria-hidden="true">{number}</span> }.into_any()
    }
}

/// A command that publishes an event to the installation whose Inspector has this address.
pub fn publish_command(inspector: &str) -> String {
    let origin = inspector.split("/inspect/").next().unwrap_or_default();
    [
        "export SIGNALBOX_API_KEY=sbk_…".to_owned(),
        format!("curl {origin}/api/v1/events \\"),
        "  -H \"Authorization: Bearer $SIGNALBOX_API_KEY\" \\".to_owned(),
        "  -H 'Content-Type: application/json' \\".to_owned(),
        "  -d '{\"event\":\"job.created\",\"data\":{\"id\":\"JOB-2024-1234\",\"title\":\"Senior Java Developer\"}}'"
            .to_owned(),
    ]
    .join("\n")
}
