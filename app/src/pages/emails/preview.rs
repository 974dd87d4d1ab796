//! What a recipient of a template would see, rendered by the server from sample values. The HTML is shown in a frame that may do
//! nothing; in the page itself, the page's own policy would refuse its styles.

use domain::api::{EmailTemplateDraft, RenderedEmail};
use leptos::{html, prelude::*, task::spawn_local};

use crate::{
    action::ServerAction,
    calls::emails::{SaveTemplate, preview_template},
    components::field::{FieldError, Refusal},
};

/// Pause after the last key before the preview follows, in milliseconds.
const PAUSE_MS: u64 = 300;

/// What a recipient would see. It follows the form while somebody types.
#[derive(Clone, Copy)]
pub struct Preview {
    /// Subject and bodies as they are typed.
    pub words: RwSignal<EmailTemplateDraft>,
    /// Sample values as they are typed, as JSON.
    data: RwSignal<String>,
    /// What is wrong with either. Not the refusal of the form: that one moves the focus, which nobody wants while typing.
    pub refusal: Refusal,
    rendered: RwSignal<RenderedEmail>,
    /// Counts what was typed: only the last change is looked at.
    typed: StoredValue<u32>,
    /// Counts frames. Each preview has one of its own: in one that stays, every preview would be a step of the browser's history.
    frames: RwSignal<u32>,
    node: NodeRef<html::Form>,
}

impl Preview {
    /// Of a template that begins with these words and sample values.
    pub fn new(draft: &EmailTemplateDraft, data: String, save: ServerAction<SaveTemplate>) -> Self {
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
    pub fn follow(self) {
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

    /// Subject, HTML, text, and the sample values that they are filled with.
    pub fn view(self) -> AnyView {
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
                        <pre class="code pre break" tabindex="0" role="region" aria-label="Preview of the text">
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
                                    prop:value=move || data.get()
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
