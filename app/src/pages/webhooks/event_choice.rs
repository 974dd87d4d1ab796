//! "Events to Subscribe": the catalogue by category, with a wildcard for each and for everything. Tick boxes only, so that it
//! posts without JavaScript.

use leptos::{ev::MouseEvent, prelude::*};
use wasm_bindgen::JsCast;

use crate::{
    calls::event_types::EventChoice,
    components::field::{FieldError, Refusal},
};

struct Category {
    title: String,
    /// `job.*`, when all its events begin alike.
    wildcard: Option<String>,
    events: Vec<EventChoice>,
}

/// Groups the catalogue, in its order.
fn categories(choices: Vec<EventChoice>) -> Vec<Category> {
    let mut categories: Vec<Category> = Vec::new();
    for choice in choices {
        match categories.iter_mut().find(|category| category.title == choice.category) {
            Some(category) => category.events.push(choice),
            None => categories.push(Category { title: choice.category.clone(), wildcard: None, events: vec![choice] }),
        }
    }
    for category in &mut categories {
        let group = |choice: &EventChoice| choice.name.split_once('.').map(|(group, _)| group.to_owned());
        let first = category.events.first().and_then(group);
        if category.events.iter().all(|choice| group(choice) == first) {
            category.wildcard = first.map(|group| format!("{group}.*"));
        }
    }
    categories
}

/// The fieldset.
#[component]
pub fn EventChoices(
    /// The catalogue.
    choices: Vec<EventChoice>,
    /// The events and wildcards that are ticked.
    chosen: Vec<String>,
    /// Why the form was refused.
    refusal: Refusal,
) -> AnyView {
    let categories = categories(choices);
    let offered = |event: &String| {
        event == "*"
            || categories.iter().any(|category| {
                category.wildcard.as_ref() == Some(event) || category.events.iter().any(|choice| choice.name == *event)
            })
    };
    let others: Vec<String> = chosen.iter().filter(|event| !offered(event)).cloned().collect();
    let ticked = move |event: &str| chosen.iter().any(|chosen| chosen == event);
    let everything = ticked("*");
    let groups = categories.into_iter().map(|category| {
        let Category { title, wildcard, events } = category;
        let boxes = events.into_iter().map(|choice| {
            let on = ticked(&choice.name);
            event_box(choice.name, choice.description, on, "event")
        });
        let boxes = boxes.collect_view();
        let wildcard = wildcard.map(|wildcard| {
            let on = ticked(&wildcard);
            event_box(wildcard, "all of them, also those to come".to_owned(), on, "event event-wild")
        });
        view! {
            <fieldset class="category">
                <legend>{title}</legend>
                <button type="button" class="link select-all needs-js" on:click=|event| select_all(&event)>
                    "Select all"
                </button>
                {wildcard}
                {boxes}
            </fieldset>
        }
    });
    let groups = groups.collect_view();
    let others = others.into_iter().map(|event| event_box(event, String::new(), true, "event")).collect_view();
    view! {
        <fieldset
            class="field events"
            aria-describedby="events-error"
            tabindex="-1"
            aria-invalid=move || refusal.field("events").map(|_| "true")
        >
            <legend class="field-label">
                "Events to Subscribe" <span class="required" aria-hidden="true">" *"</span>
            </legend>
            <FieldError refusal name="events" />
            {event_box("*".to_owned(), "Every event".to_owned(), everything, "event event-every")}
            <div class="categories">{groups}</div>
            {others}
        </fieldset>
    }
    .into_any()
}

fn event_box(event: String, description: String, on: bool, class: &'static str) -> AnyView {
    let title = description.clone();
    view! {
        <label class=class title=title>
            <input type="checkbox" class="checkbox" name="form[events][]" value=event.clone() checked=on />
            {if event == "*" {
                view! { <span>{description}</span> }.into_any()
            } else {
                view! { <span class="mono">{event}</span> }.into_any()
            }}
        </label>
    }
    .into_any()
}

/// Ticks all events of a category, or none if all are ticked. The wildcard stays as it is.
fn select_all(event: &MouseEvent) {
    let button = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let Some(Ok(Some(group))) = button.map(|button| button.closest("fieldset")) else { return };
    let Ok(found) = group.query_selector_all(".event:not(.event-wild) input") else { return };
    let boxes: Vec<web_sys::HtmlInputElement> =
        (0..found.length()).filter_map(|index| found.item(index)?.dyn_into().ok()).collect();
    let on = boxes.iter().any(|it| !it.checked());
    for it in boxes {
        it.set_checked(on);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_has_a_wildcard_when_its_events_begin_alike() {
        let choice = |name: &str, category: &str| EventChoice {
            name: name.into(),
            category: category.into(),
            description: String::new(),
        };
        let found = categories(vec![
            choice("job.created", "JOBS"),
            choice("user.created", "MIXED"),
            choice("job.closed", "JOBS"),
            choice("team.created", "MIXED"),
        ]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].wildcard.as_deref(), Some("job.*"));
        assert_eq!(found[0].events.len(), 2);
        assert_eq!(found[1].wildcard, None);
    }
}
