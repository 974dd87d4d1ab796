//! `/emails/templates`: words for e-mails that are sent again and again. A template's page shows beside the words what a
//! recipient would see, rendered by the server from sample values. The HTML is shown in a frame that may do nothing, which
//! the page's own policy would not allow its styles.

use domain::{
    Permission,
    api::{EmailTemplate, EmailTemplateDraft, RenderedEmail},
};
use leptos::{form::FromFormData, html, prelude::*, task::spawn_local};
use leptos_router::hooks::use_params_map;
use wasm_bindgen::JsCast;
use web_sys::FormData;

use super::tabs;
use crate::{
    calls::emails::{DeleteTemplate, SaveTemplate, TemplateScreen, list_templates, preview_template, show_template},
    components::{
        field::{FieldError, FormProblem, Refusal, TextField},
        heading::Heading,
        icon::icon,
        loaded::{loaded, loaded_or},
        problem::problem_page,
        toast::Toasts,
    },
    session::may,
    time::Time,
};

const PATH: &str = "/emails/templates";
/// Pause after the last key before the preview follows, in milliseconds.
const PAUSE_MS: u64 = 300;

/// The list.
#[component]
pub fn Templates() -> AnyView {
    let templates = Resource::new(|| (), |()| list_templates());
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="E-mail templates" />
                {may(Permission::WriteIntegrations)
                    .then(|| {
                        view! {
                            <a class="btn btn-primary" href="/emails/templates/new" aria-keyshortcuts="n">
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
    let template = Resource::new(id, show_template);
    let (save, delete) = (ServerAction::<SaveTemplate>::new(), ServerAction::<DeleteTemplate>::new());
    let toasts: Toasts = expect_context();
    Effect::new(move |_| {
        if let Some(Ok(())) = save.value().get() {
            toasts.say("Saved");
        }
    });
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

/// What a recipient would see. It follows the form while somebody types.
#[derive(Clone, Copy)]
struct Preview {
    /// Subject and bodies as they are typed.
    words: RwSignal<EmailTemplateDraft>,
    /// Sample values as they are typed, as JSON.
    data: RwSignal<String>,
    /// What is wrong with either. Not the refusal of the form: that one moves the focus, which nobody wants while typing.
    refusal: Refusal,
    rendered: RwSignal<RenderedEmail>,
    /// Counts what was typed: only the last change is looked at.
    typed: StoredValue<u32>,
    /// Counts frames. Each preview has one of its own: in one that stays, every preview would be a step of the browser's history.
    frames: RwSignal<u32>,
    node: NodeRef<html::Form>,
}

impl Preview {
    fn new(draft: &EmailTemplateDraft, data: String, save: ServerAction<SaveTemplate>) -> Self {
        let preview = Self {
            words: RwSignal::new(draft.clone()),
            data: RwSignal::new(data),
            refusal: Refusal::of(save),
            rendered: RwSignal::default(),
            typed: StoredValue::new(0),
            frames: RwSignal::new(0),
            node: NodeRef::new(),
        };
        // As soon as the page is live. What is new has nothing to show.
        Effect::new(move |_| {
            if preview.node.get().is_some() && !preview.words.with_untracked(|words| words.subject.is_empty()) {
                preview.render();
            }
        });
        preview
    }

    /// Renders what is typed, once nothing more was typed for a moment.
    fn follow(self) {
        self.typed.update_value(|typed| *typed += 1);
        let before = self.typed.get_value();
        let pause = std::time::Duration::from_millis(PAUSE_MS);
        _ = set_timeout(
            move || {
                if self.typed.try_get_value() == Some(before) {
                    self.render();
                }
            },
            pause,
        );
    }

    fn render(self) {
        spawn_local(async move {
            let answer = preview_template(self.words.get_untracked(), self.data.get_untracked()).await;
            // The page may be gone by now.
            let Some(error) = self.refusal.checked.try_update(|checked| {
                *checked = answer.as_ref().err().map(|error| error.0.clone());
                checked.is_some()
            }) else {
                return;
            };
            if let (false, Ok(rendered)) = (error, answer) {
                self.rendered.set(rendered);
                self.frames.update(|frames| *frames += 1);
                // The new frame is there in the next one of the screen.
                _ = request_animation_frame(move || {
                    if let Some(form) = self.node.try_get_untracked().flatten() {
                        _ = form.submit();
                    }
                });
            }
        });
    }

    fn view(self) -> AnyView {
        let Self { words, data, refusal, rendered, frames, node, .. } = self;
        let html = move || words.with(|words| words.html.clone());
        let has_html = move || words.with(|words| !words.html.trim().is_empty());
        let type_data = move |event: leptos::ev::Targeted<leptos::ev::Event, web_sys::HtmlTextAreaElement>| {
            data.set(event.target().value());
            self.follow();
        };
        view! {
            <section class="section" aria-labelledby="preview">
                <div class="section-head">
                    <h2 id="preview">"Preview"</h2>
                    <span class="muted" aria-live="polite">
                        {move || rendered.with(|rendered| rendered.subject.clone())}
                    </span>
                </div>
                <div class="columns">
                    <div class="mail-frame" hidden=move || !has_html()>
                        {move || {
                            _ = frames.get();
                            view! {
                                <iframe
                                    class="mail"
                                    name="preview"
                                    title="Preview of the HTML"
                                    sandbox=""
                                    referrerpolicy="no-referrer"
                                ></iframe>
                            }
                        }}
                    </div>
                    <div class="stack">
                        <pre class="code pre break" tabindex="0" aria-label="Preview of the text">
                            {move || rendered.with(|rendered| rendered.text.clone())}
                        </pre>
                        <form
                            method="post"
                            action="/_ui/email-templates/html"
                            target="preview"
                            node_ref=node
                            class="stack"
                            aria-label="Values of the preview"
                        >
                            <textarea name="html" hidden prop:value=html aria-hidden="true">
                                {words.with_untracked(|words| words.html.clone())}
                            </textarea>
                            <div class="field">
                                <label class="field-label" for="data">
                                    "Sample values"
                                </label>
                                <textarea
                                    class="input mono"
                                    id="data"
                                    name="data"
                                    rows="6"
                                    spellcheck="false"
                                    autocomplete="off"
                                    aria-invalid=move || refusal.field("data").map(|_| "true")
                                    aria-describedby="data-hint data-error"
                                    on:input:target=type_data
                                >
                                    {data.get_untracked()}
                                </textarea>
                                <p class="field-hint" id="data-hint">
                                    "JSON. A value that is not given shows its name; when an e-mail is sent, it is an error."
                                </p>
                                <FieldError refusal name="data" />
                            </div>
                            <div class="no-js">
                                <button class="btn">"Show preview"</button>
                            </div>
                        </form>
                    </div>
                </div>
            </section>
        }
        .into_any()
    }
}
