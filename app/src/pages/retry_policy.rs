//! `/retry-policy`: how deliveries are tried again (part 2, "Retry Configuration"; UC §13). The times are worked out in the
//! browser while somebody types, by the engine's own arithmetic.

use domain::{Permission, RetryPreset};
use leptos::{ev::SubmitEvent, form::FromFormData, prelude::*};
use leptos_router::hooks::use_query_map;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        retry_form::RetryForm,
        retry_policy::{RetrySettings, SaveRetryPolicy, show_retry_policy},
    },
    components::{
        field::{FormProblem, Refusal},
        heading::Heading,
        loaded::loaded,
        retry_fields::{Place, retry_fields, retry_preview},
        toast::Toasts,
    },
    session::may,
};

/// Where the fields stand in the form.
const PLACE: Place = Place {
    post: "policy",
    error: "",
    read: |data| SaveRetryPolicy::from_form_data(data).ok().map(|save| save.policy),
};

/// The policy of the organization.
#[component]
pub fn RetryPolicy() -> AnyView {
    let settings = Answer::new(|| (), |()| show_retry_policy());
    let save = ServerAction::<SaveRetryPolicy>::new();
    let toasts: Toasts = expect_context();
    save.after_success(move || toasts.say("Saved"));
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Retry Configuration" />
            </div>
            <p class="lede">
                "Every webhook uses this policy that has none of its own. A change holds from the next try on, also for deliveries that wait for a retry."
            </p>
            {loaded(settings, move |settings| form(&settings, save))}
        </div>
    }
    .into_any()
}

/// What stands in the form at first: what was typed before a refusal without JavaScript, a preset that the address names, or
/// what is stored.
fn at_first(settings: &RetrySettings, refusal: Refusal) -> RetryForm {
    let query = use_query_map().get_untracked();
    let typed = query.get("typed").filter(|_| refusal.is_refused());
    if let Some(form) = typed.and_then(|text| crate::objects::from_str(&text).ok()) {
        return form;
    }
    let preset = query.get("preset").unwrap_or_default();
    let preset = RetryPreset::ALL.into_iter().find(|it| it.title() == preset);
    RetryForm::of(&preset.map_or_else(|| settings.policy.clone(), |preset| preset.apply(&settings.policy)))
}

fn form(settings: &RetrySettings, save: ServerAction<SaveRetryPolicy>) -> AnyView {
    let refusal = Refusal::of(save);
    let typed = RwSignal::new(at_first(settings, refusal));
    let check = move |event: SubmitEvent| {
        let Ok(SaveRetryPolicy { policy }) = SaveRetryPolicy::from_event(&event) else { return };
        if refusal.check(policy.policy().map(|_| ())) {
            event.prevent_default();
        }
    };
    let pending = save.pending();
    let may_write = may(Permission::WriteSettings);
    let presets = RetryPreset::ALL.map(|preset| {
        let title = preset.title();
        view! {
            <a class="btn btn-sm" href=format!("/retry-policy?preset={}", crate::components::problem::encode(title))>
                {title}
            </a>
        }
    });
    view! {
        <div class="beside">
            <ActionForm action=save attr:class="card form" attr:novalidate=true on:submit:capture=check>
                <FormProblem refusal />
                <div class="presets no-js">
                    <span class="muted">"Presets"</span>
                    {presets}
                </div>
                {retry_fields(typed, PLACE, refusal)}
                <div class="form-foot">
                    <button class="btn btn-primary" disabled=move || pending.get() || !may_write>
                        "Save Changes"
                    </button>
                    {(!may_write).then(|| view! { <span class="muted">"Your role may not change the policy."</span> })}
                </div>
            </ActionForm>
            <div class="stack-wide">
                <section class="card stack" aria-labelledby="preview">
                    <h2 id="preview">"Retry times"</h2>
                    {retry_preview(typed, settings.now)}
                </section>
                {dead_letters(settings.dead_letters)}
            </div>
        </div>
    }
    .into_any()
}

fn dead_letters(count: i64) -> AnyView {
    view! {
        <section class="card stack" aria-labelledby="dead-letters">
            <h2 id="dead-letters">"Dead Letter Queue"</h2>
            <p class="num">"Current DLQ items: " <strong>{count}</strong></p>
            <div>
                <a class="btn btn-sm" href="/dead-letters">
                    "View DLQ"
                </a>
            </div>
        </section>
    }
    .into_any()
}
