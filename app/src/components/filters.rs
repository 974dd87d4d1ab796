//! Filters of a list: read from the address, written into it, taken off as chips. A filter that makes no sense is left out with
//! a notice, never an error.

use std::str::FromStr;

use domain::Timestamp;
use leptos::{ev::SubmitEvent, form::form_data_from_event, html, prelude::*};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use wasm_bindgen::JsCast;

use super::{icon::icon, problem::encode};
use crate::{
    calls::filters::{Choice, FieldChoices},
    keyboard::shortcut,
};

/// How a filter is typed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Chosen from what there is.
    Choice,
    /// A moment in UTC.
    Moment,
    /// A text, with an example.
    Text(&'static str),
    /// Not at all: it says which view of the list is shown, and leaves nothing out.
    View,
}

/// Something that a list is filtered by.
pub struct Field {
    /// In the address.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// How a text stands in the address, if it makes sense.
    pub read: fn(&str) -> Option<String>,
    /// How it is typed.
    pub input: Input,
}

/// What reads as a `T`, as that is written.
pub fn known<T: FromStr + ToString>(text: &str) -> Option<String> {
    text.parse::<T>().ok().map(|value| value.to_string())
}

/// A word, such as an event type.
pub fn word(text: &str) -> Option<String> {
    (text.len() <= 200 && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// Reads `2026-11-22T10:00`, as date fields write it, in UTC, and RFC 3339.
pub fn moment(text: &str) -> Option<String> {
    let at = Timestamp::parse(text)
        .or_else(|| Timestamp::parse(&format!("{text}:00Z")))
        .or_else(|| Timestamp::parse(&format!("{text}Z")));
    at.map(|at| at.to_string())
}

/// How the filters of a list are read, out of an address or a form.
pub type Reading = fn(&dyn Fn(&str) -> Option<String>) -> Filters;

/// The filters that are on.
#[derive(Clone)]
pub struct Filters {
    path: &'static str,
    fields: &'static [Field],
    /// In the order of the fields.
    values: Vec<(&'static str, String)>,
    /// What made no sense: title and text.
    ignored: Vec<(&'static str, String)>,
    /// Where a later page begins.
    pub cursor: Option<String>,
}

impl PartialEq for Filters {
    fn eq(&self, other: &Self) -> bool {
        (&self.values, &self.ignored, &self.cursor) == (&other.values, &other.ignored, &other.cursor)
    }
}

impl Filters {
    /// Reads the address of the list at `path`; `cursor` says whether a text can be one.
    pub fn read(
        path: &'static str,
        fields: &'static [Field],
        cursor: fn(&str) -> Option<String>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let get = |name: &str| get(name).filter(|text| !text.trim().is_empty());
        let (mut values, mut ignored) = (Vec::new(), Vec::new());
        for field in fields {
            let Some(text) = get(field.name) else { continue };
            let is_moot = field.input == Input::Moment && values.iter().any(|(name, _)| *name == "range");
            let is_over = |value: &String| {
                field.name == "to" && values.iter().any(|(name, from)| *name == "from" && from >= value)
            };
            match (field.read)(text.trim()).filter(|value| !is_moot && !is_over(value)) {
                Some(value) => values.push((field.name, value)),
                None => ignored.push((field.title, text)),
            }
        }
        let asked = get("cursor");
        let cursor = asked.as_deref().and_then(cursor);
        if let (Some(text), None) = (asked, &cursor) {
            ignored.push(("page", text));
        }
        Self { path, fields, values, ignored, cursor }
    }

    /// The value of a filter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(other, _)| *other == name).map(|(_, value)| &**value)
    }

    /// The value of a filter, if it is on and reads as a `T`.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    /// The value of a filter that is a moment.
    pub fn moment(&self, name: &str) -> Option<Timestamp> {
        self.get(name).and_then(Timestamp::parse)
    }

    /// The filters that leave something out, with what they are called.
    fn active(&self) -> impl Iterator<Item = (&'static Field, &str)> {
        let fields = self.fields.iter().filter(|field| field.input != Input::View);
        fields.filter_map(|field| Some((field, self.get(field.name)?)))
    }

    /// Whether anything is left out.
    pub fn is_filtered(&self) -> bool {
        self.active().next().is_some()
    }

    /// An address with these filters, `without` some and `with` others.
    pub fn address(&self, path: &str, without: &[&str], with: &[(&str, &str)]) -> String {
        let kept = self.values.iter().map(|(name, value)| (*name, &**value));
        let kept = kept.filter(|(name, _)| !without.contains(name) && with.iter().all(|(other, _)| other != name));
        let mut address = path.to_owned();
        for (name, value) in kept.chain(with.iter().copied()) {
            address.push(if address.contains('?') { '&' } else { '?' });
            address = address + name + "=" + &encode(value);
        }
        address
    }

    /// The newest page.
    pub fn path(&self) -> String {
        self.address(self.path, &[], &[])
    }
}

/// That a search found nothing so far. `what` is looked for.
pub fn not_among(what: &str) -> String {
    format!("No {what} among those searched for this page. \u{201c}Older\u{201d} goes on searching.")
}

/// Chips: what is on, in words, and the address without it.
fn chips(filters: &Filters, choices: &[FieldChoices]) -> Vec<(&'static str, String, String)> {
    let chip = |(field, value): (&'static Field, &str)| {
        let known = choices.iter().find(|it| it.field == field.name);
        let known = known.and_then(|it| it.choices.iter().find(|choice| choice.value == value));
        let words = match (known, field.input) {
            (Some(choice), _) => choice.text.clone(),
            (None, Input::Moment) => value.get(..16).unwrap_or(value).replace('T', " ") + " UTC",
            (None, _) => value.to_owned(),
        };
        (field.title, words, filters.address(filters.path, &[field.name], &[]))
    };
    filters.active().map(chip).collect()
}

/// The form, what was ignored, and the chips. `read` reads what was typed.
pub fn filter_bar(filters: Memo<Filters>, choices: Vec<FieldChoices>, read: Reading) -> AnyView {
    let navigate = use_navigate();
    let submit = move |event: SubmitEvent| {
        let Ok(form) = form_data_from_event(&event) else { return };
        event.prevent_default();
        let filters = read(&|name: &str| form.get(name).as_string());
        navigate(&filters.path(), NavigateOptions { scroll: false, ..NavigateOptions::default() });
    };
    let Filters { path, fields, .. } = filters.get_untracked();
    let controls = fields
        .iter()
        .map(|field| {
            let of_field = choices.iter().find(|it| it.field == field.name);
            control(field, of_field.map(|it| it.choices.clone()).unwrap_or_default(), filters)
        })
        .collect_view();
    let shown = move || {
        let active = chips(&filters.read(), &choices);
        let chip = |(title, words, href): (&'static str, String, String)| {
            let label = format!("Remove filter {title}: {words}");
            view! {
                <li>
                    <a class="chip" href=href aria-label=label data-noscroll="">
                        <span class="muted">{title}": "</span>
                        {words}
                        {icon("x")}
                    </a>
                </li>
            }
        };
        active.into_iter().map(chip).collect_view()
    };
    let ignored = move || {
        let ignored: Vec<_> =
            filters.read().ignored.iter().map(|(title, text)| format!("{title} \u{201c}{text}\u{201d}")).collect();
        ignored.join(", ")
    };
    view! {
        <form method="get" action=path class="toolbar filters" aria-label="Filters" on:submit=submit>
            {controls}
            <button class="btn no-js">"Apply"</button>
        </form>
        <div class="notice notice-warn" role="status" hidden=move || filters.read().ignored.is_empty()>
            {icon("alert")}
            <span>"Ignored, because it makes no sense here: " {ignored}</span>
        </div>
        <ul class="chips" aria-label="Active filters" hidden=move || !filters.read().is_filtered()>
            {shown}
        </ul>
    }
    .into_any()
}

/// Sends the form as soon as a choice is made. A range that ends now and moments put each other out.
pub fn send_form(event: &leptos::ev::Event) {
    let field = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let Some((field, Ok(Some(form)))) = field.map(|field| (field.id(), field.closest("form"))) else { return };
    let moot: &[&str] = match &*field {
        "range" => &["from", "to"],
        "from" | "to" => &["range"],
        _ => &[],
    };
    for name in moot {
        if let Ok(Some(other)) = form.query_selector(&format!("[name={name}]")) {
            match other.dyn_into::<web_sys::HtmlInputElement>() {
                Ok(input) => input.set_value(""),
                Err(other) => other.unchecked_into::<web_sys::HtmlSelectElement>().set_value(""),
            }
        }
    }
    _ = form.unchecked_into::<web_sys::HtmlFormElement>().request_submit();
}

fn control(field: &'static Field, choices: Vec<Choice>, filters: Memo<Filters>) -> AnyView {
    let Field { name, title, input, .. } = *field;
    let value = move || filters.read().get(name).unwrap_or_default().to_owned();
    let typed = match input {
        Input::View => return view! { <input type="hidden" name=name prop:value=value value=value() /> }.into_any(),
        Input::Choice => {
            let first = filters.with_untracked(|filters| filters.get(name).unwrap_or_default().to_owned());
            let options = choices.into_iter().map(|Choice { value: own, text }| {
                let is_chosen = own == first;
                view! {
                    <option value=own selected=is_chosen>
                        {text}
                    </option>
                }
            });
            let options = options.collect_view();
            let node: NodeRef<html::Select> = NodeRef::new();
            // One effect, not one for each of a hundred options.
            Effect::new(move |_| {
                let value = value();
                if let Some(select) = node.get() {
                    select.set_value(&value);
                }
            });
            view! {
                <select class="select" id=name name=name node_ref=node on:change=|event| send_form(&event)>
                    <option value="">"Any"</option>
                    {options}
                </select>
            }
            .into_any()
        }
        Input::Moment | Input::Text(_) => {
            let (kind, example) =
                if let Input::Text(example) = input { ("search", example) } else { ("datetime-local", "") };
            let key = (kind == "search").then(|| shortcut("/"));
            let text =
                move || if kind == "search" { value() } else { value().get(..16).unwrap_or_default().to_owned() };
            view! {
                <input
                    class="input"
                    type=kind
                    id=name
                    name=name
                    placeholder=example
                    aria-keyshortcuts=key
                    autocomplete="off"
                    value=text()
                    prop:value=text
                    on:change=|event| send_form(&event)
                />
            }
            .into_any()
        }
    };
    let is_moment = input == Input::Moment;
    let mut label = title.to_owned();
    label[..1].make_ascii_uppercase();
    view! {
        <div class="filter">
            <label for=name>{label}{is_moment.then_some(" (UTC)")}</label>
            {typed}
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{api::TimeRange, delivery::DeliveryState};

    const FIELDS: &[Field] = &[
        Field { name: "status", title: "status", read: known::<DeliveryState>, input: Input::Choice },
        Field { name: "event", title: "event", read: word, input: Input::Choice },
        Field { name: "range", title: "time", read: known::<TimeRange>, input: Input::Choice },
        Field { name: "from", title: "from", read: moment, input: Input::Moment },
        Field { name: "to", title: "to", read: moment, input: Input::Moment },
        Field { name: "view", title: "view", read: word, input: Input::View },
    ];

    fn read(pairs: &[(&str, &str)]) -> Filters {
        Filters::read("/deliveries", FIELDS, known::<u8>, |name| {
            pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_makes_no_sense_is_left_out_and_said() {
        let filters = read(&[
            ("status", "great"),
            ("range", "9y"),
            ("from", "soon"),
            ("event", "\0"),
            ("cursor", "x"),
            ("view", " "),
        ]);
        assert!(!filters.is_filtered());
        assert_eq!(filters.path(), "/deliveries");
        assert_eq!(
            filters.ignored.iter().map(|(title, _)| *title).collect::<Vec<_>>(),
            ["status", "event", "time", "from", "page"]
        );
        // A range ends now; with moments besides it would be two.
        let filters = read(&[("range", "1h"), ("from", "2026-11-22T10:00"), ("to", "2026-11-22T10:00")]);
        assert_eq!((filters.path().as_str(), filters.ignored.len()), ("/deliveries?range=1h", 2));
        let filters = read(&[("from", "2026-11-22T10:00"), ("to", "2026-11-22T10:00")]);
        assert_eq!(filters.ignored, [("to", "2026-11-22T10:00".to_owned())]);
    }

    #[test]
    fn the_address_and_back() {
        let filters =
            read(&[("status", "failed"), ("event", "job.created"), ("from", "2026-11-22T10:00"), ("cursor", "7")]);
        assert_eq!(filters.path(), "/deliveries?status=failed&event=job.created&from=2026-11-22T10%3A00%3A00.000Z");
        assert_eq!(filters.cursor.as_deref(), Some("7"));
        let choices = [FieldChoices {
            field: "status".into(),
            choices: vec![Choice { value: "failed".into(), text: "Failed".into() }],
        }];
        let chips = chips(&filters, &choices);
        let without = "/deliveries?event=job.created&from=2026-11-22T10%3A00%3A00.000Z";
        assert_eq!(chips[0], ("status", "Failed".to_owned(), without.to_owned()));
        assert_eq!(chips[2].1, "2026-11-22 10:00 UTC");
        let view = read(&[("view", "failures")]);
        assert!(!view.is_filtered());
        let address = view.address("/deliveries", &["view"], &[("status", "failed")]);
        assert_eq!(
            (view.path().as_str(), address.as_str()),
            ("/deliveries?view=failures", "/deliveries?status=failed")
        );
    }
}
