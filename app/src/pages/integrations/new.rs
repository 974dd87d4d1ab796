//! `/integrations/new`: choosing a provider, then its form.

use domain::catalogue::Category;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::fields;
use crate::{
    action::ServerAction,
    answer::Answer,
    calls::integrations::{ProviderChoice, ProviderScreen, SaveIntegration, ShowProvider, list_providers},
    components::{heading::Heading, icon::icon, loaded::loaded},
    keyboard::shortcut,
    pages::lazy::{Shown, lazily},
    search::any_contains,
};

/// Choosing and configuring.
#[component]
pub fn NewIntegration() -> AnyView {
    let query = use_query_map();
    let chosen = Memo::new(move |_| query.with(|query| query.get("provider")).filter(|id| !id.is_empty()));
    let providers = Answer::new(|| (), |()| list_providers());
    let provider = Answer::asked(move || chosen.get(), |id| id.map(|id| ShowProvider { id }));
    let save = ServerAction::<SaveIntegration>::new();
    let search = RwSignal::new(String::new());
    view! {
        <div class="page">
            <p class="crumbs">
                <a class="quiet" href="/integrations">
                    "Integrations"
                </a>
                {move || chosen.get().map(|_| view! { " / " <a class="quiet" href="/integrations/new">"Add Integration"</a> })}
            </p>
            <div class="page-head">
                <Heading text="Add Integration" />
            </div>
            {loaded(
                provider,
                move |provider| match provider {
                    Some(screen) => lazily(move || Box::pin(new_integration_form(screen.clone(), save))),
                    None => loaded(providers, move |providers| choose(providers, search)),
                },
            )}
        </div>
    }
    .into_any()
}

fn choose(providers: Vec<ProviderChoice>, search: RwSignal<String>) -> AnyView {
    let providers = StoredValue::new(providers);
    let fits = |provider: &ProviderChoice, text: &str| {
        any_contains([&*provider.name, &*provider.summary, provider.kind.label()], text)
    };
    let groups = Category::ALL.map(|category| {
        let of_group = move || {
            let text = search.get();
            providers.with_value(|all| {
                let wanted = all.iter().filter(|it| it.kind.category() == category && fits(it, &text));
                wanted.cloned().collect::<Vec<_>>()
            })
        };
        view! {
            <section class="section" hidden=move || of_group().is_empty()>
                <h2>{category.label()}</h2>
                <ul class="choices">
                    <For each=of_group key=|it| it.id.clone() let:provider>
                        <li>
                            <a class="card choice" href=format!("/integrations/new?provider={}", provider.id) data-row="">
                                <span class="kind">{icon(provider.kind.icon())}</span>
                                <span class="grow">
                                    <span class="strong">{provider.name.clone()}</span>
                                    <span class="sub muted">{provider.summary.clone()}</span>
                                </span>
                                <span class="badge">{provider.kind.label()}</span>
                            </a>
                        </li>
                    </For>
                </ul>
            </section>
        }
    });
    view! {
        <div class="toolbar needs-js">
            <label class="search">
                {icon("search")}
                <input
                    type="search"
                    aria-label="Search providers"
                    aria-keyshortcuts=shortcut("/")
                    placeholder="Search providers"
                    on:input:target=move |event| search.set(event.target().value())
                />
                <kbd>"/"</kbd>
            </label>
        </div>
        {groups}
    }
    .into_any()
}

/// Fetches the code of the form, if the address asks for one; true once it is here.
#[cfg(feature = "hydrate")]
pub async fn fetch_form(query: &str) -> bool {
    !query.contains("provider=") || __preload_new_integration_form().await.is_ok()
}

/// The form of a provider, as a download of its own.
#[lazy(later_provider_form, fallible)]
fn new_integration_form(screen: ProviderScreen, save: ServerAction<SaveIntegration>) -> Shown {
    let ProviderScreen { name, summary, docs, form } = screen;
    let page = view! {
        <div class="stack-wide page-narrow">
            <div class="lede">
                <p>
                    <strong>{name}</strong>
                    " · "
                    {summary}
                </p>
                {docs
                    .map(|url| view! { <p><a class="link" href=url target="_blank" rel="noreferrer">"How to set it up"</a></p> })}
            </div>
            {fields::form(form, save)}
        </div>
    };
    Ok(page.into_any())
}
