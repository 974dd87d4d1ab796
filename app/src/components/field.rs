//! Fields of forms, and why a form was refused. Errors stand at their field in the words of `domain`; the browser's own checks
//! are off, because its words are not ours.

use domain::{Problems, api::ApiError};
use leptos::{html, prelude::*};

use super::icon::icon;
use crate::action::ServerAction;

/// Why a form was refused, by the browser's check or by the server.
#[derive(Clone, Copy)]
pub struct Refusal {
    /// What the browser found before anything was sent.
    pub checked: RwSignal<Option<ApiError>>,
    answered: Signal<Option<ApiError>>,
}

impl Refusal {
    /// The refusals of an action, also of one that was posted without JavaScript.
    pub fn of<S: 'static>(action: ServerAction<S>) -> Self {
        Self { checked: RwSignal::new(None), answered: action.refusal() }
    }

    /// Notes what the browser's check found; whether it found anything.
    pub fn check(self, result: Result<(), Problems>) -> bool {
        let error = result.err().map(ApiError::from);
        let refused = error.is_some();
        self.checked.set(error);
        refused
    }

    /// The message for a field.
    pub fn field(self, name: &str) -> Option<String> {
        self.get()?.field(name).map(str::to_owned)
    }

    /// Whether the form was refused when it was rendered: it was posted without JavaScript.
    pub fn is_refused(self) -> bool {
        self.answered.with_untracked(Option::is_some)
    }

    fn get(self) -> Option<ApiError> {
        self.checked.get().or_else(|| self.answered.get())
    }
}

/// Empties a form when its action succeeded, and closes what it was opened in: for forms that stay on the page.
pub fn empty_after<S: 'static>(form: NodeRef<html::Form>, action: ServerAction<S>) {
    action.after_success(move || {
        if let Some(form) = form.get() {
            form.reset();
            if let Ok(Some(opened)) = form.closest("details.confirm") {
                _ = opened.remove_attribute("open");
            }
        }
    });
}

/// At the top of a form: what is wrong with it as a whole. Moves the focus to the first refused field.
#[component]
pub fn FormProblem(
    /// Why the form was refused.
    refusal: Refusal,
) -> AnyView {
    let node: NodeRef<html::Div> = NodeRef::new();
    Effect::new(move |_| {
        if refusal.get().is_none() {
            return;
        }
        // The fields show their errors in this very turn; the next frame has them.
        let focus = move || {
            let Some(form) = node.get_untracked().and_then(|problem| problem.closest("form").ok().flatten()) else {
                return;
            };
            if let Ok(Some(field)) = form.query_selector("[aria-invalid=true]") {
                // What is folded away cannot be focused.
                while let Ok(Some(folded)) = field.closest("details:not([open])") {
                    _ = folded.set_attribute("open", "");
                }
                _ = wasm_bindgen::JsCast::unchecked_into::<web_sys::HtmlElement>(field).focus();
            }
        };
        _ = request_animation_frame(focus);
    });
    let whole = move || refusal.get().filter(|error| error.errors.is_empty()).map(|error| error.detail);
    view! {
        <div node_ref=node role="alert">
            {move || whole().map(|text| view! { <p class="notice notice-bad">{icon("alert")} {text}</p> })}
        </div>
    }
    .into_any()
}

/// The message at a field.
#[component]
pub fn FieldError(
    /// Why the form was refused.
    refusal: Refusal,
    /// The field's name in errors.
    #[prop(into)]
    name: String,
) -> AnyView {
    let id = format!("{name}-error");
    view! {
        <p class="field-error" id=id>
            {move || refusal.field(&name)}
        </p>
    }
    .into_any()
}

/// One line of text with its label, hint and error.
#[component]
pub fn TextField(
    /// What it is called on the screen.
    label: &'static str,
    /// Its name in errors, and its id.
    name: &'static str,
    /// The name it is posted under, if that is another.
    #[prop(optional)]
    post_as: Option<&'static str>,
    /// `text`, `password`, `email`, `url` …
    #[prop(default = "text")]
    kind: &'static str,
    /// What it holds at first.
    #[prop(into, optional)]
    value: String,
    /// A line that explains it.
    #[prop(optional)]
    hint: &'static str,
    /// An example.
    #[prop(optional)]
    placeholder: &'static str,
    /// What the browser may fill in.
    #[prop(default = "off")]
    autocomplete: &'static str,
    /// Whether a star says that it is needed.
    #[prop(optional)]
    required: bool,
    /// Why the form was refused.
    refusal: Refusal,
) -> AnyView {
    view! {
        <div class="field">
            <label class="field-label" for=name>
                {label}
                {required.then(|| view! { <span class="required" aria-hidden="true">" *"</span> })}
            </label>
            <input
                class="input"
                id=name
                name=post_as.unwrap_or(name)
                type=kind
                value=value
                placeholder=placeholder
                autocomplete=autocomplete
                autocapitalize="off"
                spellcheck="false"
                aria-required=required.then_some("true")
                aria-invalid=move || refusal.field(name).map(|_| "true")
                aria-describedby=format!("{name}-hint {name}-error")
            />
            {field_hint(name, hint)}
            <FieldError refusal name />
        </div>
    }
    .into_any()
}

/// What a [`number_field`] is told.
pub struct Number {
    /// The name it is posted under.
    pub post: String,
    /// Its name in errors, and its id.
    pub name: String,
    /// What it is called on the screen.
    pub label: AnyView,
    /// What is counted; stands behind it.
    pub unit: &'static str,
    /// What it holds at first.
    pub value: String,
    /// What it means to leave it empty.
    pub empty: &'static str,
}

/// A number with its unit. A field of text, so that whatever is typed reaches our own check.
pub fn number_field(number: Number, refusal: Refusal) -> AnyView {
    let Number { post, name, label, unit, value, empty } = number;
    let unit_id = format!("{name}-unit");
    let described = format!("{unit_id} {name}-error");
    let is_refused = {
        let name = name.clone();
        move || refusal.field(&name).map(|_| "true")
    };
    view! {
        <div class="field">
            <label class="field-label" for=name.clone()>
                {label}
            </label>
            <div class="with-unit">
                <input
                    class="input num"
                    id=name.clone()
                    name=post
                    value=value
                    placeholder=empty
                    inputmode="numeric"
                    autocomplete="off"
                    aria-invalid=is_refused
                    aria-describedby=described
                />
                <span class="muted" id=unit_id>
                    {unit}
                </span>
            </div>
            <FieldError refusal name />
        </div>
    }
    .into_any()
}

/// A choice of one.
#[component]
pub fn SelectField(
    /// What it is called on the screen.
    label: &'static str,
    /// Its name in errors, and its id.
    name: &'static str,
    /// The name it is posted under, if that is another.
    #[prop(optional)]
    post_as: Option<&'static str>,
    /// What is chosen at first.
    #[prop(into, optional)]
    value: String,
    /// Values and what they are called.
    options: Vec<(String, String)>,
    /// A line that explains it.
    #[prop(optional)]
    hint: &'static str,
) -> AnyView {
    view! {
        <div class="field">
            <label class="field-label" for=name>
                {label}
            </label>
            <select class="select" id=name name=post_as.unwrap_or(name) aria-describedby=format!("{name}-hint")>
                {options
                    .into_iter()
                    .map(move |(option, text)| {
                        let selected = option == value;
                        view! {
                            <option value=option selected=selected>
                                {text}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
            {field_hint(name, hint)}
        </div>
    }
    .into_any()
}

/// The line that explains a field. Without words there is none: the server and the browser write an empty text differently.
fn field_hint(name: &str, hint: &'static str) -> Option<AnyView> {
    let line = || view! { <p class="field-hint" id=format!("{name}-hint")>{hint}</p> }.into_any();
    (!hint.is_empty()).then(line)
}
