//! `/emails/templates`: words for e-mails that are sent again and again, written beside a preview that follows what is typed.

use domain::{
    Permission,
    api::{EmailTemplate, EmailTemplateDraft},
};
use leptos::{form::FromFormData, prelude::*};
use leptos_router::hooks::use_params_map;
use wasm_bindgen::JsCast;
use web_sys::FormData;

use super::{preview::Preview, tabs};
use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::emails::{DeleteTemplate, SaveTemplate, TemplateScreen, list_templates, show_template},
    components::{
        field::{FieldError, FormProblem, Refusal, TextField},
        heading::Heading,
        icon::icon,
        loaded::{loaded, loaded_or},
        problem::problem_page,
        toast::Toasts,
    },
    keyboard::shortcut,
    session::may,
    time::Time,
};

const PATH: &str = "/emails/templates";

/// The list.
#[component]
pub fn Templates() -> AnyView {
    let templates = Answer::new(|| (), |()| list_templates());
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="E-mail templates" />
                {may(Permission::WriteIntegrations)
                    .then(|| {
                        view! {
                            <a class="btn btn-primary" href="/emails/templates/new" aria-keyshortcuts=shortcut("n")>
                                {icon("plus")}
                                "New Template"
                            </a>
                        }
                    })}
            </div>
            {tabs(PATH)}
            {loaded(templates, list)}
        </div>
    }
    .into_any()
}

fn list(templates: Vec<EmailTemplate>) -> AnyView {
    if templates.is_empty() {
        return view! {
            <p class="empty">
                "No templates yet. One is used by its name: " <code>"{\"to\": …, \"template\": \"interview\", \"data\": {…}}"</code>
            </p>
        }
        .into_any();
    }
    let row = |template: EmailTemplate| {
        view! {
            <tr>
                <td class="primary">
                    <a class="row-link strong" data-row="" href=format!("{PATH}/{}", template.id)>
                        {template.name}
                    </a>
                </td>
                <td class="wide break">{template.subject}</td>
                <td>{template.category.map(|category| view! { <span class="badge">{category}</span> })}</td>
                <td class="col-time">
                    <Time at=template.updated_at />
                </td>
            </tr>
        }
    };
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="sr-only">"E-mail templates"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col" class="wide">"Subject"</th>
                        <th scope="col">"Category"</th>
                        <th scope="col" class="col-time">"Changed"</th>
                    </tr>
                </thead>
                <tbody>{templates.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// One template, or a new one.
#[component]
pub fn TemplatePage() -> AnyView {
    let params = use_params_map();
    let id = move || params.with(|params| params.get("id").unwrap_or_default());
    let template = Answer::new(id, show_template);
    let (save, delete) = (ServerAction::<SaveTemplate>::new(), ServerAction::<DeleteTemplate>::new());
    let toasts: Toasts = expect_context();
    save.after_success(move || toasts.say("Saved"));
    loaded_or(template, move |screen| page(screen, save, delete), problem_page)
}

fn page(screen: TemplateScreen, save: ServerAction<SaveTemplate>, delete: ServerAction<DeleteTemplate>) -> AnyView {
    let TemplateScreen { id, draft, data } = screen;
    let preview = Preview::new(&draft, data, save);
    let title = if id.is_empty() { "New template" } else { "Edit template" };
    let removal = (!id.is_empty() && may(Permission::WriteIntegrations)).then(|| deletion(id.clone(), delete));
    view! {
        <div class="page page-wide">
            <p class="crumbs">
                <a class="quiet" href=PATH>
                    "E-mail templates"
                </a>
            </p>
            <div class="page-head">
                <Heading text=title />
                {removal}
            </div>
            {form(id, draft, save, preview)}
            {preview.view()}
        </div>
    }
    .into_any()
}

fn form(id: String, draft: EmailTemplateDraft, save: ServerAction<SaveTemplate>, preview: Preview) -> AnyView {
    let EmailTemplateDraft { name, subject, text, html, category } = draft;
    let pending = save.pending();
    let may_write = may(Permission::WriteIntegrations);
    let refusal = preview.refusal;
    let follow = move |event: leptos::ev::Event| {
        let field = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let Some(Ok(Some(form))) = field.map(|field| field.closest("form")) else { return };
        let data = FormData::new_with_form(form.unchecked_ref());
        if let Some(now) = data.ok().and_then(|data| SaveTemplate::from_form_data(&data).ok()) {
            preview.words.set(EmailTemplateDraft {
                subject: now.subject,
                text: now.text,
                html: now.html,
                ..Default::default()
            });
            preview.follow();
        }
    };
    view! {
        // What the server then says of the form is more than what was said of the preview.
        <ActionForm
            action=save
            attr:class="card form"
            attr:novalidate=true
            on:input=follow
            on:submit:capture=move |_| refusal.checked.set(None)
        >
            <FormProblem refusal=Refusal::of(save) />
            <input type="hidden" name="id" value=id />
            <div class="columns">
                <TextField label="Name" name="name" value=name hint="By which e-mails use it." required=true refusal />
                <TextField
                    label="Category"
                    name="category"
                    value=category.unwrap_or_default()
                    placeholder="interviews"
                    hint="Recipients can unsubscribe from it. Without one it is a message that its recipient needs."
                    refusal
                />
            </div>
            <TextField label="Subject" name="subject" value=subject placeholder="Your interview on {{ at }}" required=true refusal />
            <div class="columns">
                {area("HTML", "html", html, "Values stand in double braces, and are escaped.", refusal)}
                {area("Text", "text", text, "Without one, it is made from the HTML.", refusal)}
            </div>
            <div class="form-foot">
                <a class="btn" href=PATH>
                    "Cancel"
                </a>
                <span class="grow"></span>
                <button class="btn btn-primary" disabled=move || pending.get() || !may_write>
                    "Save"
                </button>
            </div>
        </ActionForm>
    }
    .into_any()
}

/// Several lines in one width of letters, so that the line that an error names is the one that is counted.
fn area(label: &'static str, name: &'static str, value: String, hint: &'static str, refusal: Refusal) -> AnyView {
    view! {
        <div class="field">
            <label class="field-label" for=name>
                {label}
            </label>
            <textarea
                class="input mono"
                id=name
                name=name
                rows="14"
                spellcheck="false"
                autocomplete="off"
                wrap="off"
                aria-invalid=move || refusal.field(name).map(|_| "true")
                aria-describedby=format!("{name}-hint {name}-error")
            >
                {value}
            </textarea>
            <p class="field-hint" id=format!("{name}-hint")>
                {hint}
            </p>
            <FieldError refusal name />
        </div>
    }
    .into_any()
}

fn deletion(id: String, delete: ServerAction<DeleteTemplate>) -> AnyView {
    let pending = delete.pending();
    view! {
        <details class="confirm confirm-right">
            <summary class="btn btn-danger">{icon("trash")} "Delete"</summary>
            <ActionForm action=delete attr:class="confirm-box">
                <FormProblem refusal=Refusal::of(delete) />
                <p>"Delete this template? E-mails that were made from it keep their words; who uses its name is refused."</p>
                <input type="hidden" name="id" value=id />
                <button class="btn btn-danger" disabled=pending>
                    "Yes, delete it"
                </button>
            </ActionForm>
        </details>
    }
    .into_any()
}
