//! Theme, density, and the switch for single-key shortcuts.

use leptos::prelude::*;

use crate::{
    calls::preferences::SavePreferences,
    components::{field::SelectField, frame::apply_saved, toast::Toasts},
    preferences::Preferences,
};

/// The form.
pub fn section(save: ServerAction<SavePreferences>) -> AnyView {
    let now = Preferences::current();
    let toasts: Toasts = expect_context();
    apply_saved(save);
    Effect::new(move |_| {
        if let Some(Ok(_)) = &*save.value().read() {
            toasts.say("Saved");
        }
    });
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
        </section>
    }
    .into_any()
}
