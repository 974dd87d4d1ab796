//! Custom headers: name and value, row by row. Values may be credentials, so stored ones are never shown; an empty value keeps
//! what is stored.

use leptos::prelude::*;

use crate::components::{
    field::{FieldError, Refusal},
    icon::icon,
};

/// The rows, and empty ones to fill in.
#[component]
pub fn HeaderRows(
    /// Names of the headers that are there.
    names: Vec<String>,
    /// Why the form was refused.
    refusal: Refusal,
    /// Whether the names were typed before an error without JavaScript; then their values are gone.
    typed_before: bool,
) -> AnyView {
    let placeholder = if typed_before { "Type the value again" } else { "•••••••• (kept when empty)" };
    let mut rows: Vec<(u32, String)> = (0_u32..).zip(names).collect();
    let next = u32::try_from(rows.len()).unwrap_or_default();
    rows.push((next, String::new()));
    let rows = RwSignal::new(rows);
    let add = move |_| {
        rows.update(|rows| {
            let key = rows.last().map_or(0, |(key, _)| key + 1);
            rows.push((key, String::new()));
        });
    };
    view! {
        <fieldset
            class="field"
            aria-describedby="headers-error"
            tabindex="-1"
            aria-invalid=move || refusal.field("headers").map(|_| "true")
        >
            <legend class="field-label">"Custom headers"</legend>
            <div class="header-rows">
                <For each=move || rows.get() key=|(key, _)| *key let((key, name))>
                    {header_row(key, name, placeholder, rows)}
                </For>
            </div>
            <div>
                <button type="button" class="btn btn-sm needs-js" on:click=add>
                    {icon("plus")}
                    "Add header"
                </button>
            </div>
            <FieldError refusal name="headers" />
        </fieldset>
    }
    .into_any()
}

fn header_row(key: u32, name: String, kept: &'static str, rows: RwSignal<Vec<(u32, String)>>) -> AnyView {
    let placeholder = if name.is_empty() { "Value" } else { kept };
    view! {
        <div class="header-row">
            <input
                class="input mono"
                name="form[header_names][]"
                value=name
                placeholder="Name, such as Authorization"
                aria-label="Header name"
                autocomplete="off"
                spellcheck="false"
            />
            <input
                class="input mono"
                name="form[header_values][]"
                placeholder=placeholder
                aria-label="Header value"
                autocomplete="off"
                spellcheck="false"
            />
            <button
                type="button"
                class="btn btn-ghost btn-square needs-js"
                aria-label="Remove header"
                title="Remove header"
                on:click=move |_| rows.update(|rows| rows.retain(|(other, _)| *other != key))
            >
                {icon("x")}
            </button>
        </div>
    }
    .into_any()
}
