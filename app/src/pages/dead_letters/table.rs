//! The rows of the queue, in one form: each has its own buttons, and what is chosen is retried or cleared together.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::{Page, ids};
use crate::{
    action::ActionForm,
    calls::dead_letters::DeadLetter,
    components::{
        icon::icon,
        status::{count, status_line},
    },
    keyboard::{focused_row, refocus_row, shortcut},
    time::{Clock, Time},
};

/// The table. `matching` is how many there are on all pages, if that is known.
pub fn table(letters: Vec<DeadLetter>, matching: Option<i64>, acts: bool, page: Page) -> AnyView {
    let Page { act, chosen, everything, .. } = page;
    let Clock { hydrated, .. } = expect_context();
    let all = StoredValue::new(ids(&letters));
    let all_chosen = move || all.with_value(|all| all.is_subset(&chosen.read()));
    let choose_all = move |event: leptos::ev::Event| {
        everything.set(false);
        chosen.update(
            |chosen| {
                if is_checked(&event) { all.with_value(|all| chosen.extend(all)) } else { chosen.clear() }
            },
        );
    };
    let elsewhere = matching.is_none_or(|matching| matching > i64::try_from(letters.len()).unwrap_or(i64::MAX));
    let everything_label = match matching {
        Some(matching) => format!("Select all {matching} that match"),
        None => "Select all that match".to_owned(),
    };
    let number = move || chosen.read().len();
    let pending = act.pending();
    let cannot = move || pending.get() || (hydrated.get() && number() == 0);
    // What matches elsewhere too is work for a job, which asks first.
    let ask = move |event: leptos::ev::MouseEvent, open: RwSignal<bool>| {
        if everything.get_untracked() {
            event.prevent_default();
            open.set(true);
        }
    };
    let back = page.filters.get_untracked().path();
    let rows = RwSignal::new(letters);
    // Whoever works through the queue by keys goes on with the row that took the place of the one that left.
    Effect::new(move |_| {
        if let Some(index) = page.row.get_value() {
            _ = request_animation_frame(move || refocus_row(index));
        }
    });
    view! {
        <ActionForm action=act>
            <input type="hidden" name="back" value=back />
            <div class="table-wrap" on:focusin=move |_| page.row.set_value(focused_row())>
                <table class="table">
                    <caption class="sr-only">"Dead letters"</caption>
                    <thead>
                        <tr>
                            {acts
                                .then(|| {
                                    view! {
                                        <th scope="col" class="col-check">
                                            <input
                                                type="checkbox"
                                                class="checkbox needs-js"
                                                aria-label="Select all on this page"
                                                prop:checked=all_chosen
                                                on:change=choose_all
                                            />
                                        </th>
                                    }
                                })}
                            <th scope="col">"Webhook"</th>
                            <th scope="col">"Event"</th>
                            <th scope="col">"Reason"</th>
                            <th scope="col" class="col-time">"Failed At"</th>
                            <th scope="col" class="col-time">"Kept Until"</th>
                            <th scope="col" class="col-actions"><span class="sr-only">"Actions"</span></th>
                        </tr>
                    </thead>
                    <tbody>
                        <For each=move || rows.get() key=|letter| (letter.delivery.id, letter.delivery.attempts) let:letter>
                            {row(&letter, acts, page)}
                        </For>
                    </tbody>
                </table>
            </div>
            {acts
                .then(|| {
                    view! {
                        <div class="bulk-bar">
                            <span class="muted num" role="status">
                                {move || match (everything.get(), number()) {
                                    (true, _) => "Everything that matches is selected".to_owned(),
                                    (false, number) => format!("{number} selected"),
                                }}
                            </span>
                            <button
                                type="button"
                                class="link needs-js"
                                hidden=move || everything.get() || !elsewhere || !all_chosen()
                                on:click=move |_| everything.set(true)
                            >
                                {everything_label}
                            </button>
                            <span class="grow"></span>
                            <button
                                class="btn"
                                name="act"
                                value="retry"
                                disabled=cannot
                                on:click=move |event| ask(event, page.retry_all.open)
                            >
                                {icon("retry")}
                                "Retry Selected"
                            </button>
                            <button
                                class="btn"
                                name="act"
                                value="clear"
                                disabled=cannot
                                on:click=move |event| ask(event, page.clear_all.open)
                            >
                                {icon("trash")}
                                "Clear Selected"
                            </button>
                        </div>
                    }
                })}
        </ActionForm>
    }
    .into_any()
}

fn is_checked(event: &leptos::ev::Event) -> bool {
    let input = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlInputElement>().ok());
    input.is_some_and(|input| input.checked())
}

fn row(letter: &DeadLetter, acts: bool, page: Page) -> AnyView {
    let Page { chosen, everything, .. } = page;
    let clock: Clock = expect_context();
    let delivery = &letter.delivery;
    let (key, id) = (delivery.id, delivery.id.to_string());
    let reason = match (delivery.error, delivery.response_status) {
        (_, Some(status)) => status_line(status),
        (Some(error), None) => error.title().to_owned(),
        (None, None) => "–".to_owned(),
    };
    let choose = move |event: leptos::ev::Event| {
        everything.set(false);
        chosen.update(|chosen| _ = if is_checked(&event) { chosen.insert(key) } else { chosen.remove(&key) });
    };
    let (died_at, expires_at) = (letter.died_at, letter.expires_at);
    let kept = expires_at.since_ms(died_at).max(1);
    let age = move || {
        let now = clock.now()?;
        Some((now.since_ms(died_at) * 100 / kept).clamp(0, 100).to_string())
    };
    let act = |verb: &'static str, label: &'static str, key: Option<&'static str>| {
        view! {
            <button
                class="btn btn-sm btn-ghost"
                name="one"
                value=format!("{verb} {id}")
                aria-label=format!("{label} {id}")
                aria-keyshortcuts=key.map(shortcut)
            >
                {label}
            </button>
        }
    };
    view! {
        <tr>
            {acts
                .then(|| {
                    view! {
                        <td class="col-check">
                            <input
                                type="checkbox"
                                class="checkbox"
                                name="ids[]"
                                value=id.clone()
                                aria-label=format!("Select {id}")
                                aria-keyshortcuts=shortcut("x")
                                prop:checked=move || chosen.read().contains(&key)
                                on:change=choose
                            />
                        </td>
                    }
                })}
            <td class="truncate">
                <a class="quiet" href=format!("/webhooks/{}", delivery.webhook_id)>
                    {delivery.webhook_name.clone()}
                </a>
            </td>
            <td class="primary">
                <a class="row-link mono" data-row="" href=format!("/deliveries/{id}")>
                    {delivery.event.clone()}
                </a>
            </td>
            <td class="truncate">{reason}</td>
            <td class="col-time">
                <Time at=died_at />
                <span class="try-count num">{format!(" ({})", count(delivery.attempts, "try", "tries"))}</span>
            </td>
            <td class="col-time">
                <Time at=expires_at />
                <progress class="age" max="100" value=age aria-label="Age against retention"></progress>
            </td>
            <td class="col-actions">
                {acts.then(|| act("retry", "Retry", Some("r")))} {acts.then(|| act("clear", "Clear", None))}
                <a class="btn btn-sm btn-ghost" href=format!("/deliveries/{id}") aria-label=format!("View {id}")>
                    "View"
                </a>
            </td>
        </tr>
    }
    .into_any()
}
