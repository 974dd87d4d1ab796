//! The form of an integration, made from its provider's file, and checked in the browser by the server's own rules. One file,
//! because a form is one list: a function for each kind of field.

use domain::{
    Permission,
    api::SecretMark,
    catalogue::{Choice, Field, FieldKind, validate_fields},
    human_ms,
};
use leptos::{LazyViewError, form::FromFormData, prelude::*, task::spawn_local};

use super::one::connection::redirect_uri;
use crate::{
    action::{ActionForm, ServerAction},
    calls::{
        integration_form::{FormScreen, IntegrationForm},
        integrations::{Found, SaveIntegration, regenerate_secret, reveal_secret},
    },
    components::{
        check::{Rules, checked},
        field::{FieldError, FormProblem, Refusal, SelectField},
        icon::icon,
        toast::Toasts,
    },
    session::may,
    time::Time,
};

/// What a test found, in full.
pub fn result(found: &Found) -> AnyView {
    let class = if found.ok { "notice notice-good" } else { "notice notice-bad" };
    let detail = found.detail.clone();
    view! {
        <div class=class role="status">
            {icon(if found.ok { "check" } else { "alert" })}
            <div class="stack">
                <p>
                    <strong>{found.message.clone()}</strong>
                    {format!(" ({})", human_ms(found.latency_ms.into()))}
                </p>
                {(!detail.is_empty()).then(|| view! { <pre class="code break">{detail}</pre> })}
                {found
                    .meaning
                    .clone()
                    .map(|meaning| {
                        view! {
                            <p>{meaning}</p>
                            <ol class="steps">{found.steps.iter().map(|step| view! { <li>{step.clone()}</li> }).collect_view()}</ol>
                        }
                    })}
            </div>
        </div>
    }
    .into_any()
}

/// The rules of the form, as a download of their own. `known` are the secrets that are stored.
#[lazy(later_integration_rules, fallible)]
fn integration_rules(fields: Vec<Field>, known: Vec<String>) -> Result<Rules, LazyViewError> {
    Ok(Box::new(move |event| {
        let Ok(SaveIntegration { form, .. }) = SaveIntegration::from_event(event) else { return Ok(()) };
        let draft = form.draft(&fields);
        let mut problems = draft.check();
        let has = |name: &str| known.iter().any(|known| known == name) || draft.secrets.contains_key(name);
        for problem in validate_fields(&fields, &draft.config, has).into_vec() {
            problems.add(&problem.field, problem.message);
        }
        problems.or(())
    }))
}

/// The form of an integration, new or changed.
pub fn form(screen: FormScreen, save: ServerAction<SaveIntegration>) -> AnyView {
    let FormScreen { form, fields, secrets: marks, redirect_uri: redirect, others } = screen;
    let refusal = Refusal::of(save);
    let may_write = may(Permission::WriteIntegrations);
    let pending = save.pending();
    let known: Vec<String> = marks.keys().cloned().collect();
    let rules = fields.clone();
    let (prepare, check) = checked(refusal, move || Box::pin(integration_rules(rules.clone(), known.clone())));
    let mut sections: Vec<(String, Vec<AnyView>)> = Vec::new();
    for field in &fields {
        // The order of UC §11: id, secret, redirect URI, scopes.
        if field.name == "scopes"
            && let (Some(uri), Some((_, fields))) = (&redirect, sections.last_mut())
        {
            fields.push(redirect_uri(uri));
        }
        let shown = field_view(field, &form, marks.get(&field.name), refusal);
        match sections.last_mut() {
            Some((title, fields)) if *title == field.section => fields.push(shown),
            _ => sections.push((field.section.clone(), vec![shown])),
        }
    }
    let sections = sections.into_iter().map(|(title, fields)| {
        let folded = title == "Advanced";
        let body = view! { <div class="stack">{fields}</div> };
        if folded {
            view! { <details class="more"><summary>{title}</summary>{body}</details> }.into_any()
        } else {
            view! { <fieldset class="fields"><legend>{title}</legend>{body}</fieldset> }.into_any()
        }
    });
    let cancel = if form.id.is_empty() { "/integrations".to_owned() } else { format!("/integrations/{}", form.id) };
    let is_oauth = redirect.is_some();
    let (try_label, save_label) =
        if is_oauth { ("Test OAuth Flow", "Save Configuration") } else { ("Test Connection", "Save") };
    let (then, then_label) = if is_oauth { ("connect", "Save & Connect") } else { ("test", "Test & Save") };
    let parents = others.into_iter().map(|(id, name)| (id.to_string(), name));
    let parents = std::iter::once((String::new(), "Nothing".to_owned())).chain(parents).collect();
    let tried = move || save.answer().and_then(Result::ok).flatten().map(|found| result(&found));
    view! {
        <ActionForm action=save attr:class="card form" attr:novalidate=true on:focusin=prepare on:submit:capture=check>
            <FormProblem refusal />
            <input type="hidden" name="form[id]" value=form.id.clone() />
            <input type="hidden" name="form[version]" value=form.version.clone() />
            <input type="hidden" name="form[provider]" value=form.provider.clone() />
            {text_field("form[name]", "name", "Name", "text", &form.name, "", "What you call it, unique here.", refusal)}
            {sections.collect_view()}
            <details class="more">
                <summary>"Health check"</summary>
                {text_field(
                    "form[check_interval_s]",
                    "check_interval_s",
                    "Check every (seconds)",
                    "text",
                    &form.check_interval_s,
                    "300",
                    "10 to 86400 seconds.",
                    refusal,
                )}
                <SelectField
                    label="Depends on"
                    name="depends_on"
                    post_as="form[depends_on]"
                    value=form.depends_on.clone()
                    options=parents
                    hint="While that one is down, nobody is told that this one is."
                />
                <FieldError refusal name="depends_on" />
            </details>
            <label class="check">
                <input type="checkbox" class="checkbox" name="form[active]" value="true" checked=form.active />
                "Active"
            </label>
            <div aria-live="polite">{tried}</div>
            <div class="form-foot">
                <a class="btn" href=cancel>
                    "Cancel"
                </a>
                <button class="btn needs-js" name="then" value="try" disabled=move || pending.get() || !may_write>
                    {icon("flask")}
                    {try_label}
                </button>
                <span class="grow"></span>
                <button class="btn btn-primary" disabled=move || pending.get() || !may_write>
                    {save_label}
                </button>
                <button class="btn" name="then" value=then disabled=move || pending.get() || !may_write>
                    {then_label}
                </button>
            </div>
        </ActionForm>
    }
    .into_any()
}

fn field_view(field: &Field, form: &IntegrationForm, mark: Option<&SecretMark>, refusal: Refusal) -> AnyView {
    let post = format!("form[config][{}]", field.name);
    let error = format!("config.{}", field.name);
    let value = form.config.get(&field.name).cloned().unwrap_or_default();
    match field.kind {
        FieldKind::Password => secret_field(field, form, mark, refusal),
        FieldKind::Choice if field.open => port_field(field, &post, &error, &value, refusal),
        FieldKind::Choice => choice_field(field, &post, &error, &value, refusal),
        FieldKind::Choices => choices_field(field, form, &error, refusal),
        FieldKind::Switch => {
            let checked = value == "true";
            view! {
                <label class="check">
                    <input type="checkbox" class="checkbox" name=post value="true" checked=checked />
                    {field.label.clone()}
                </label>
            }
            .into_any()
        }
        kind => {
            let input = match kind {
                FieldKind::Email => "email",
                FieldKind::Url => "url",
                _ => "text",
            };
            text_field(&post, &error, &field.label, input, &value, &field.placeholder, &field.help, refusal)
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "a field is what it is called, holds, and says")]
fn text_field(
    post: &str,
    name: &str,
    label: &str,
    kind: &'static str,
    value: &str,
    placeholder: &str,
    hint: &str,
    refusal: Refusal,
) -> AnyView {
    let (id, error) = (name.replace('.', "-"), name.to_owned());
    view! {
        <div class="field">
            <label class="field-label" for=id.clone()>
                {label.to_owned()}
            </label>
            <input
                class="input"
                id=id.clone()
                name=post.to_owned()
                type=kind
                value=value.to_owned()
                placeholder=placeholder.to_owned()
                autocomplete="off"
                autocapitalize="off"
                spellcheck="false"
                aria-invalid=move || refusal.field(&error).map(|_| "true")
                aria-describedby=format!("{id}-hint {name}-error")
            />
            {hint_line(&id, hint)}
            <FieldError refusal name />
        </div>
    }
    .into_any()
}

/// Without words there is none: the server and the browser write an empty text differently.
fn hint_line(id: &str, hint: &str) -> Option<AnyView> {
    let line = || view! { <p class="field-hint" id=format!("{id}-hint")>{hint.to_owned()}</p> }.into_any();
    (!hint.is_empty()).then(line)
}

fn choice_field(field: &Field, post: &str, error: &str, value: &str, refusal: Refusal) -> AnyView {
    let id = error.replace('.', "-");
    let option = |choice: &Choice| {
        let selected = choice.value == value;
        view! { <option value=choice.value.clone() selected=selected>{choice.label.clone()}</option> }
    };
    view! {
        <div class="field">
            <label class="field-label" for=id.clone()>
                {field.label.clone()}
            </label>
            <select class="select" id=id.clone() name=post.to_owned()>
                {field.options.iter().map(option).collect_view()}
            </select>
            {hint_line(&id, &field.help)}
            <FieldError refusal name=error />
        </div>
    }
    .into_any()
}

/// One of the usual values, or another that is typed.
fn port_field(field: &Field, post: &str, error: &str, value: &str, refusal: Refusal) -> AnyView {
    let id = error.replace('.', "-");
    let list = format!("{id}-options");
    let is_refused = {
        let error = error.to_owned();
        move || refusal.field(&error).map(|_| "true")
    };
    view! {
        <div class="field">
            <label class="field-label" for=id.clone()>
                {field.label.clone()}
            </label>
            <input
                class="input num"
                id=id.clone()
                name=post.to_owned()
                value=value.to_owned()
                list=list.clone()
                inputmode="numeric"
                autocomplete="off"
                aria-invalid=is_refused
                aria-describedby=format!("{id}-hint {error}-error")
            />
            <datalist id=list>
                {field
                    .options
                    .iter()
                    .map(|choice| view! { <option value=choice.value.clone()>{choice.label.clone()}</option> })
                    .collect_view()}
            </datalist>
            <p class="field-hint" id=format!("{id}-hint")>
                {field.options.iter().map(|choice| choice.label.clone()).collect::<Vec<_>>().join(", ")}
            </p>
            <FieldError refusal name=error />
        </div>
    }
    .into_any()
}

fn choices_field(field: &Field, form: &IntegrationForm, error: &str, refusal: Refusal) -> AnyView {
    let name = field.name.clone();
    let option = |choice: &Choice| {
        let value = format!("{name}:{}", choice.value);
        let checked = form.chosen.contains(&value);
        view! {
            <label class="check">
                <input type="checkbox" class="checkbox" name="form[chosen][]" value=value checked=checked />
                {choice.label.clone()}
            </label>
        }
    };
    view! {
        <fieldset class="field">
            <legend class="field-label">{field.label.clone()}</legend>
            <div class="checks">{field.options.iter().map(option).collect_view()}</div>
            {hint_line(&error.replace('.', "-"), &field.help)}
            <FieldError refusal name=error />
        </fieldset>
    }
    .into_any()
}

/// A secret is written and never read, except by who gives their password again.
fn secret_field(field: &Field, form: &IntegrationForm, mark: Option<&SecretMark>, refusal: Refusal) -> AnyView {
    let error = format!("secrets.{}", field.name);
    let id = error.replace('.', "-");
    let (place, post) =
        (StoredValue::new((form.id.clone(), field.name.clone())), format!("form[secrets][{}]", field.name));
    let is_refused = {
        let error = error.clone();
        move || refusal.field(&error).map(|_| "true")
    };
    let placeholder = match mark {
        Some(SecretMark { reference: Some(reference), .. }) => reference.clone(),
        Some(_) => "•••••••••••• (unchanged)".to_owned(),
        None if field.placeholder.is_empty() => "Value, env:NAME or file:/path".to_owned(),
        None => field.placeholder.clone(),
    };
    let toasts: Toasts = expect_context();
    let (asks, password, shown) = (RwSignal::new(false), RwSignal::new(String::new()), RwSignal::new(None::<String>));
    let reveal = move |_| {
        spawn_local(async move {
            let (id, name) = place.get_value();
            match reveal_secret(id, name, password.get_untracked()).await {
                Ok(value) => {
                    shown.set(Some(value));
                    asks.set(false);
                }
                Err(error) => toasts.say(error.0.field("password").unwrap_or(&error.0.detail)),
            }
            password.set(String::new());
        });
    };
    let regenerate = move |_| {
        spawn_local(async move {
            let (id, name) = place.get_value();
            match regenerate_secret(id, name).await {
                Ok(value) => {
                    shown.set(Some(value));
                    toasts.say("A new secret was made. The old one is not valid any more.");
                }
                Err(error) => toasts.say(&error.0.detail),
            }
        });
    };
    let is_stored = mark.is_some();
    let can_show = is_stored && may(Permission::ReadSecrets);
    let can_make = is_stored && may(Permission::WriteIntegrations);
    view! {
        <div class="field">
            <label class="field-label" for=id.clone()>
                {field.label.clone()}
            </label>
            <div class="secret">
                <input
                    class="input mono"
                    id=id.clone()
                    name=post
                    type="password"
                    placeholder=placeholder
                    autocomplete="new-password"
                    aria-invalid=is_refused
                    aria-describedby=format!("{id}-hint {error}-error")
                />
                {can_show
                    .then(|| {
                        view! {
                            <button type="button" class="btn needs-js" on:click=move |_| asks.update(|asks| *asks = !*asks)>
                                "Show"
                            </button>
                        }
                    })}
                {can_make
                    .then(|| {
                        view! {
                            <button type="button" class="btn needs-js" on:click=regenerate>
                                "Regenerate"
                            </button>
                        }
                    })}
            </div>
            <div class="row" hidden=move || !asks.get()>
                <input
                    class="input"
                    type="password"
                    aria-label="Your password"
                    placeholder="Your password"
                    autocomplete="current-password"
                    prop:value=password
                    on:input:target=move |event| password.set(event.target().value())
                />
                <button type="button" class="btn" on:click=reveal>
                    "Confirm"
                </button>
            </div>
            {move || shown.get().map(|value| view! { <p class="mono break notice" role="status">{value}</p> })}
            <p class="field-hint" id=format!("{id}-hint")>
                {(!field.help.is_empty()).then(|| format!("{} ", field.help))}
                "Stored encrypted. env:NAME and file:/path are read whenever it is used."
                {mark.map(|mark| view! { " Set " <Time at=mark.set_at /> "." })}
            </p>
            <FieldError refusal name=error />
        </div>
    }
    .into_any()
}
