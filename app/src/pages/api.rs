//! `/api`: keys for programs, and the way to the documentation. A key is shown once, when it is made.

use domain::{
    Permission, Scope,
    api::{ApiKey, CreatedApiKey, Source},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    CallError,
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        api_keys::{CreateApiKey, RevokeApiKey, list_api_keys},
        sources::list_sources,
    },
    components::{
        copy::CopyButton,
        field::{FieldError, FormProblem, Refusal, SelectField, TextField, empty_after},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        status::{Tone, status},
    },
    session::may,
    time::Time,
};

/// Keys.
#[component]
pub fn Api() -> AnyView {
    let create = ServerAction::<CreateApiKey>::new();
    let revoke = ServerAction::<RevokeApiKey>::new();
    let keys = Answer::new(
        move || (create.version().get(), revoke.version().get()),
        |_| async { if may(Permission::ManageApiKeys) { list_api_keys().await } else { Ok(Vec::new()) } },
    );
    let sources = Answer::new(|| (), |()| list_sources());
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="API" />
                <a class="btn" href="/api/docs" rel="external">
                    {icon("book")}
                    "Documentation"
                </a>
            </div>
            <section class="section" aria-labelledby="keys">
                <div class="section-head">
                    <h2 id="keys">"Keys"</h2>
                </div>
                {if may(Permission::ManageApiKeys) {
                    view! {
                        <FormProblem refusal=Refusal::of(revoke) />
                        {created_key(create)}
                        {loaded(keys, move |keys| table(keys, revoke))}
                        {loaded(sources, move |sources| form(sources, create))}
                    }
                        .into_any()
                } else {
                    view! { <p class="empty">"Only owners and admins manage API keys."</p> }.into_any()
                }}
            </section>
        </div>
    }
    .into_any()
}

/// The key that was just made.
fn created_key(create: ServerAction<CreateApiKey>) -> AnyView {
    view! {
        <div role="status">
            {move || match create.answer() {
                Some(Ok(CreatedApiKey { api_key, key })) => {
                    Some(
                        view! {
                            <div class="card created">
                                <p>
                                    {status(Tone::Good, "check", "Created")} " " <strong>{api_key.name}</strong>
                                    ". Copy the key now: it is not shown again."
                                </p>
                                <div class="secret">
                                    <input class="input mono" readonly aria-label="API key" value=key.clone() />
                                    <CopyButton text=key label="Copy" visible=true />
                                </div>
                            </div>
                        },
                    )
                }
                Some(Err(CallError(_))) | None => None,
            }}
        </div>
    }
    .into_any()
}

fn form(sources: Vec<Source>, create: ServerAction<CreateApiKey>) -> AnyView {
    let refusal = Refusal::of(create);
    let node = NodeRef::new();
    empty_after(node, create);
    let typed = use_query_map().with_untracked(|query| query.get("name")).filter(|_| refusal.is_refused());
    let pending = create.pending();
    let options = std::iter::once((String::new(), "Any".to_owned()))
        .chain(sources.into_iter().map(|source| (source.id.to_string(), source.name)))
        .collect::<Vec<_>>();
    let scopes = Scope::ALL.map(|scope| {
        view! {
            <label class="check">
                <input
                    type="checkbox"
                    class="checkbox"
                    name="scopes[]"
                    value=scope.as_str()
                    checked=scope == Scope::EventsWrite
                />
                <span class="mono">{scope.as_str()}</span>
                <span class="muted scope">{scope.description()}</span>
            </label>
        }
    });
    view! {
        <ActionForm action=create node_ref=node attr:class="card form" attr:novalidate=true>
            <h3>"New key"</h3>
            <FormProblem refusal />
            <TextField
                label="Name"
                name="name"
                value=typed.unwrap_or_default()
                placeholder="Recruiting service, production"
                required=true
                refusal
            />
            <fieldset class="field" tabindex="-1" aria-invalid=move || refusal.field("scopes").map(|_| "true")>
                <legend class="field-label">"Scopes"</legend>
                {scopes}
                <FieldError refusal name="scopes" />
            </fieldset>
            <SelectField
                label="Source"
                name="source_id"
                options
                hint="A key that is bound to a source publishes events of this source only."
            />
            <div class="form-foot">
                <button class="btn btn-primary" disabled=pending>
                    "Create key"
                </button>
                <span class="muted no-js">"The key is shown once, which needs JavaScript; without it use `signalbox keys create`."</span>
            </div>
        </ActionForm>
    }
    .into_any()
}

fn table(keys: Vec<ApiKey>, revoke: ServerAction<RevokeApiKey>) -> AnyView {
    if keys.is_empty() {
        return view! { <p class="empty">"No keys yet. A program needs one to publish events."</p> }.into_any();
    }
    let rows = keys.into_iter().map(|key| row(key, revoke)).collect_view();
    view! {
        <div class="table-wrap table-open">
            <table class="table">
                <caption class="sr-only">"API keys"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Key"</th>
                        <th scope="col">"Scopes"</th>
                        <th scope="col">"Last used"</th>
                        <th scope="col" class="col-actions"><span class="sr-only">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(key: ApiKey, revoke: ServerAction<RevokeApiKey>) -> AnyView {
    let scopes =
        key.scopes.0.iter().map(|scope| view! { <span class="badge mono">{scope.as_str()}</span> }).collect_view();
    let name = key.name.clone();
    view! {
        <tr>
            <td class="primary strong">{key.name}</td>
            <td class="mono muted">{key.prefix}"…"</td>
            <td>
                <span class="badges">{scopes}</span>
            </td>
            <td>
                {match (key.revoked_at, key.last_used_at) {
                    (Some(at), _) => view! { {status(Tone::Bad, "ban", "Revoked")} " " <Time at /> }.into_any(),
                    (None, Some(at)) => view! { <Time at /> }.into_any(),
                    (None, None) => view! { <span class="muted">"never"</span> }.into_any(),
                }}
            </td>
            <td class="col-actions">
                {key
                    .revoked_at
                    .is_none()
                    .then(|| {
                        view! {
                            <details class="confirm confirm-right">
                                <summary class="btn btn-sm" aria-label=format!("Revoke {name}")>
                                    "Revoke"
                                </summary>
                                <ActionForm action=revoke attr:class="confirm-box">
                                    <p>"Programs that use this key are refused from now on."</p>
                                    <input type="hidden" name="id" value=key.id.to_string() />
                                    <button class="btn btn-danger">"Revoke key"</button>
                                </ActionForm>
                            </details>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}
