//! `/inspector`: the built-in receiver. Requests appear as they arrive, with a verdict on their signature. What strangers send
//! is only ever text.

mod respond;

use domain::{
    Permission,
    api::{InspectorRequest, Page},
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::inspector::{
        ClearInspector, SaveInspectorResponse, inspector_requests, inspector_url, show_inspector_response,
    },
    components::{
        attempt::{body_view, headers_view},
        copy::CopyButton,
        field::{FormProblem, Refusal, empty_after},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        pager::pager,
        status::signature_status,
        toast::Toasts,
    },
    live::Live,
    session::may,
    time::Time,
};

/// Most requests kept on the page while they arrive.
const MOST: usize = 100;

/// The receiver.
#[component]
pub fn Inspector() -> AnyView {
    let query = use_query_map();
    let live: Live = expect_context();
    let cursor = move || query.with(|query| query.get("cursor"));
    let clear = ServerAction::<ClearInspector>::new();
    let save = ServerAction::<SaveInspectorResponse>::new();
    // A refused form keeps what was typed: only a success is a reason to fetch again.
    let saved = save.successes();
    let toasts: Toasts = expect_context();
    save.after_success(move || toasts.say("Saved"));
    let url = Answer::new(|| (), |()| inspector_url());
    let response = Answer::new(move || saved.get(), |_| show_inspector_response());
    let requests = Answer::new(
        move || (cursor(), clear.version().get(), live.missed.get()),
        |(cursor, ..)| inspector_requests(cursor),
    );
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Inspector" />
                {may(Permission::ClearInspector).then(|| clear_button(clear))}
            </div>
            <p class="muted">"Records every request to this address and checks its signature against the secrets of your webhooks."</p>
            <FormProblem refusal=Refusal::of(clear) />
            {loaded(url, |url| address(&url))}
            {loaded(response, move |response| respond::settings(&response, save))}
            {loaded(requests, move |page| list(page, cursor().is_some(), live))}
        </div>
    }
    .into_any()
}

fn clear_button(clear: ServerAction<ClearInspector>) -> AnyView {
    let node = NodeRef::new();
    empty_after(node, clear);
    view! {
        <details class="confirm confirm-right">
            <summary class="btn">{icon("trash")} "Clear"</summary>
            <ActionForm action=clear node_ref=node attr:class="confirm-box">
                <p>"Forget all recorded requests?"</p>
                <button class="btn btn-danger">"Yes, clear"</button>
            </ActionForm>
        </details>
    }
    .into_any()
}

fn address(url: &str) -> AnyView {
    let sample = format!("curl {url} \\\n  -H 'Content-Type: application/json' \\\n  -d '{{\"hello\":\"world\"}}'");
    view! {
        <section class="card form">
            <h2 id="address">"Receiving URL"</h2>
            <div class="secret">
                <input class="input mono" readonly aria-labelledby="address" value=url.to_owned() />
                <CopyButton text=url.to_owned() label="Copy" visible=true />
            </div>
            <details class="more">
                <summary>"Try it with curl"</summary>
                <div class="snippet">
                    <pre class="code" tabindex="0" aria-label="Command">{sample.clone()}</pre>
                    <CopyButton text=sample label="Copy command" visible=true />
                </div>
            </details>
        </section>
    }
    .into_any()
}

fn list(page: Page<InspectorRequest>, is_later_page: bool, live: Live) -> AnyView {
    let requests = RwSignal::new(page.data);
    if !is_later_page {
        live.on_event(move |event| {
            if let Some(request) = event.request()
                && requests.read_untracked().iter().all(|known| known.id != request.id)
            {
                requests.update(|requests| {
                    requests.insert(0, request);
                    requests.truncate(MOST);
                });
            }
        });
    }
    view! {
        <section class="section" aria-labelledby="requests">
            <div class="section-head">
                <h2 id="requests">"Requests"</h2>
            </div>
            <div class="tries">
                <For each=move || requests.get() key=|request| request.id let:request>
                    {row(request)}
                </For>
            </div>
            <p class="empty" hidden=move || !requests.read().is_empty()>
                "Nothing was received yet. Send a test from a webhook, or use the command above."
            </p>
            {pager("/inspector", is_later_page, page.next_cursor.as_deref())}
        </section>
    }
    .into_any()
}

/// The event that a delivery of ours says it is, or where the request went.
fn subject(request: &InspectorRequest) -> String {
    let event = request.headers.iter().find(|header| header.name.to_ascii_lowercase().ends_with("-event"));
    event.map_or_else(|| request.path.clone(), |header| header.value.clone())
}

fn row(request: InspectorRequest) -> AnyView {
    let subject = subject(&request);
    let headers = headers_view("Headers", &request.headers);
    let body = body_view("Body", &request.body, request.truncated);
    view! {
        <details class="try">
            <summary data-row="">
                <span class="badge mono">{request.method}</span>
                <span class="mono truncate">{subject}</span>
                <span class="grow"></span>
                {signature_status(request.signature)}
                <Time at=request.received_at />
            </summary>
            <div class="attempt stack">
                {request
                    .webhook_id
                    .map(|id| {
                        view! {
                            <p>
                                "Signed with the secret of " <a class="link mono break" href=format!("/webhooks/{id}")>
                                    {id.to_string()}
                                </a>
                            </p>
                        }
                    })}
                {body} {headers}
            </div>
        </details>
    }
    .into_any()
}
