//! The views that a member keeps of a list: links, and a box to keep what is shown now.

use domain::api::SavedView;
use leptos::prelude::*;

use super::{
    field::{FormProblem, Refusal, TextField, empty_after},
    filters::Filters,
    icon::icon,
};
use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::saved_views::{ForgetView, SaveView, saved_views},
};

/// The views of the list at `list`, of which `filters` are on.
pub fn views(list: &'static str, filters: Memo<Filters>) -> AnyView {
    let (save, forget) = (ServerAction::<SaveView>::new(), ServerAction::<ForgetView>::new());
    let kept = Answer::new(move || (save.version().get(), forget.version().get()), |_| saved_views());
    let (node, refusal) = (NodeRef::new(), Refusal::of(save));
    empty_after(node, save);
    let query = Memo::new(move |_| filters.read().path().split_once('?').map(|(_, query)| query.to_owned()));
    let links = move || {
        Suspend::new(async move {
            let own = kept.await.unwrap_or_default().into_iter().filter(|view| view.list == list);
            let links = own.map(|view| link(view, query, forget)).collect_view();
            view! { <ul class="chips">{links}</ul> }
        })
    };
    view! {
        <div class="views" role="group" aria-label="Saved views">
            <Transition>{links}</Transition>
            <details class="confirm" hidden=move || query.read().is_none() open=refusal.is_refused()>
                <summary class="btn btn-sm btn-ghost">{icon("plus")} "Save view"</summary>
                <ActionForm action=save node_ref=node attr:class="confirm-box form" attr:novalidate=true>
                    <FormProblem refusal />
                    <input type="hidden" name="list" value=list />
                    <input
                        type="hidden"
                        name="query"
                        value=query.get_untracked()
                        prop:value=move || query.get().unwrap_or_default()
                    />
                    <TextField label="Name" name="name" placeholder="Failures of today" required=true refusal />
                    <button class="btn btn-primary">"Save"</button>
                </ActionForm>
            </details>
        </div>
    }
    .into_any()
}

fn link(view: SavedView, query: Memo<Option<String>>, forget: ServerAction<ForgetView>) -> AnyView {
    let href = view.href();
    let SavedView { list, name, query: own } = view;
    let is_shown = move || query.read().as_ref().is_some_and(|shown| *shown == own);
    let label = format!("Remove view {name}");
    view! {
        <li class="view">
            <a class="chip" href=href aria-current=move || is_shown().then_some("page") data-noscroll="">
                {name.clone()}
            </a>
            <ActionForm action=forget>
                <input type="hidden" name="list" value=list />
                <input type="hidden" name="name" value=name />
                <button class="btn btn-sm btn-ghost btn-square" aria-label=label>
                    {icon("x")}
                </button>
            </ActionForm>
        </li>
    }
    .into_any()
}
