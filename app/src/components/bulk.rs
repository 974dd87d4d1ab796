//! Starting work on many deliveries: a button that first says how many it would touch. What it starts is a job.

use domain::api::JobKind;
use leptos::{prelude::*, task::spawn_local};

use super::{
    field::{FormProblem, Refusal, TextField, empty_after},
    icon::icon,
    status::count,
    toast::Toasts,
};
use crate::{
    action::{ActionForm, ServerAction},
    calls::jobs::{Bulk, CONFIRMATION, StartBulk, count_bulk},
};

/// What a page makes once for each of its buttons.
#[derive(Clone, Copy)]
pub struct BulkAction {
    start: ServerAction<StartBulk>,
    /// Whether it asks.
    pub open: RwSignal<bool>,
}

impl BulkAction {
    /// Not asked yet.
    pub fn new() -> Self {
        let toasts: Toasts = expect_context();
        let (start, open) = (ServerAction::<StartBulk>::new(), RwSignal::new(false));
        start.after_success(move || {
            open.set(false);
            toasts.say_with_link("Started.", "/jobs".to_owned(), "Watch it");
        });
        Self { start, open }
    }
}

/// The button and what it asks. `known` is how many there are when it is made, if that costs nothing; the figure is asked for
/// whenever it opens.
pub fn bulk_button(action: BulkAction, bulk: Bulk, label: &'static str, known: Option<i64>) -> AnyView {
    let BulkAction { start, open } = action;
    let refusal = Refusal::of(start);
    let clears = bulk.kind == JobKind::DeadLettersClear;
    let node = NodeRef::new();
    empty_after(node, start);
    let matched = RwSignal::new(known);
    let failed = RwSignal::new(String::new());
    let asked = bulk.clone();
    Effect::new(move |_| {
        if open.get() {
            let bulk = asked.clone();
            spawn_local(async move {
                match count_bulk(bulk).await {
                    Ok(now) => matched.set(Some(now)),
                    Err(error) => failed.set(error.0.detail),
                }
            });
        }
    });
    let (question, one, many, verb, name) = match bulk.kind {
        JobKind::DeadLettersClear => ("Discard", "dead letter", "dead letters", "Yes, clear them", "trash"),
        JobKind::ReplayFailed => ("Send", "failed delivery", "failed deliveries", "Yes, replay them", "replay"),
        _ => ("Retry", "dead letter", "dead letters", "Yes, retry them", "retry"),
    };
    let again = if bulk.kind == JobKind::ReplayFailed { " again" } else { "" };
    let text = move || match matched.get() {
        Some(number) => format!("{question} {}{again}?", count(number, one, many)),
        None => format!("{question} all {many} that match{again}?"),
    };
    let hidden = [
        ("bulk[kind]", Some(bulk.kind.as_str().to_owned())),
        ("bulk[webhook_id]", bulk.webhook_id.map(|id| id.to_string())),
        ("bulk[event]", bulk.event),
        ("bulk[error]", bulk.error.map(|error| error.as_str().to_owned())),
    ];
    let pending = start.pending();
    let toggle = move |event: leptos::ev::MouseEvent| {
        event.prevent_default();
        open.update(|open| *open = !*open);
    };
    view! {
        <details class="confirm confirm-right bulk" open=clears && refusal.is_refused() prop:open=move || open.get()>
            <summary class=if clears { "btn btn-danger" } else { "btn" } on:click=toggle>
                {icon(name)}
                {label}
            </summary>
            <ActionForm action=start node_ref=node attr:class="confirm-box" attr:novalidate=true>
                <FormProblem refusal />
                {hidden
                    .into_iter()
                    .filter_map(|(name, value)| Some(view! { <input type="hidden" name=name value=value? /> }))
                    .collect_view()}
                <p role="status">{text}</p>
                <p class="field-error" hidden=move || failed.read().is_empty()>
                    {failed}
                </p>
                {clears
                    .then(|| {
                        view! {
                            <p>"This cannot be undone. Type " <strong>{CONFIRMATION}</strong> " to confirm."</p>
                            <TextField label="Confirmation" name="confirm" refusal />
                        }
                    })}
                <button
                    class=if clears { "btn btn-danger" } else { "btn btn-primary" }
                    disabled=move || pending.get() || matched.get() == Some(0)
                >
                    {verb}
                </button>
            </ActionForm>
        </details>
    }
    .into_any()
}
