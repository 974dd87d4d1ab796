//! Theme, density, and single-key shortcuts: whether there are any, and which.

use leptos::prelude::*;

use crate::{
    action::{ActionForm, ServerAction},
    calls::preferences::{SaveKeys, SavePreferences},
    components::{
        field::{FieldError, FormProblem, Refusal, SelectField},
        frame::apply_saved,
        toast::Toasts,
    },
    keymap::names,
    preferences::Preferences,
};

/// The form.
pub fn section(save: ServerAction<SavePreferences>) -> AnyView {
    let now = Preferences::current();
    let toasts: Toasts = expect_context();
    apply_saved(save);
    save.after_success(move || toasts.say("Saved"));
    let options = |list: &[(&str, &str)]| list.iter().map(|(value, text)| ((*value).into(), (*text).into())).collect();
    view! {
        <section class="section" aria-labelledby="appearance">
            <div class="section-head">
                <h2 id="appearance">"Appearance"</h2>
            </div>
            <ActionForm action=save attr:class="card form form-columns">
                <SelectField
                    label="Theme"
                    name="theme"
                    value=now.theme.unwrap_or_else(|| "system".to_owned())
                    options=options(&[("system", "As the system"), ("light", "Light"), ("dark", "Dark")])
                />
                <SelectField
                    label="Density"
                    name="density"
                    value=if now.compact { "compact" } else { "comfortable" }
                    options=options(&[("comfortable", "Comfortable"), ("compact", "Compact")])
                />
                <SelectField
                    label="Keyboard shortcuts"
                    name="keys"
                    value=if now.no_keys { "off" } else { "on" }
                    options=options(&[("on", "On"), ("off", "Only Ctrl K")])
                    hint="Single letters such as g, j and n. Press ? for the list."
                />
                <div class="form-foot">
                    <button class="btn btn-primary">"Save"</button>
                </div>
            </ActionForm>
            {keys()}
        </section>
    }
    .into_any()
}

/// The keys, one by one.
fn keys() -> AnyView {
    let save = ServerAction::<SaveKeys>::new();
    let toasts: Toasts = expect_context();
    save.on_success(move |preferences| {
        preferences.apply();
        toasts.say("Saved. Pages show the new keys as you open them.");
    });
    let refusal = Refusal::of(save);
    let keymap = Preferences::current().keymap;
    let field = move |(name, title): (String, &'static str)| {
        let place = name.strip_prefix('g').filter(|key| !key.is_empty());
        let own = place.map_or_else(|| keymap.control(&name), |key| keymap.place(key));
        let label = place.map_or_else(|| title.to_owned(), |_| format!("Go to {title}"));
        let id = format!("key-{name}");
        let described = format!("{name}-error");
        let refused = name.clone();
        view! {
            <div class="field">
                <label class="field-label" for=id.clone()>
                    {place.map(|_| view! { <kbd>"g"</kbd> " " })}
                    {label}
                </label>
                <input
                    class="input mono"
                    id=id
                    name=format!("own[{name}]")
                    value=own
                    maxlength="1"
                    autocomplete="off"
                    autocapitalize="off"
                    spellcheck="false"
                    aria-invalid=move || refusal.field(&refused).map(|_| "true")
                    aria-describedby=described
                />
                <FieldError refusal name />
            </div>
        }
    };
    let fields = names().map(field).collect_view();
    view! {
        <details class="more" open=refusal.is_refused()>
            <summary>"Change single keys"</summary>
            <ActionForm action=save attr:class="card form" attr:novalidate=true>
                <FormProblem refusal />
                <p class="muted">"A letter, a digit or /. Empty: as it was at first."</p>
                <div class="form-columns key-fields">{fields}</div>
                <div class="form-foot">
                    <button class="btn btn-primary">"Save keys"</button>
                </div>
            </ActionForm>
        </details>
    }
    .into_any()
}
