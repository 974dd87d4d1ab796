//! `/login`. A plain form: the page that follows is loaded afresh, with its session. Who is sent here, and who away, the server
//! decides before anything is rendered.

use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_query_map;

use crate::{
    action::ServerAction,
    calls::sessions::SignIn,
    components::{
        field::{FormProblem, Refusal, TextField},
        heading::Heading,
    },
};

/// Signing in.
#[component]
pub fn Login() -> AnyView {
    let query = use_query_map().get_untracked();
    let refusal = Refusal::of(ServerAction::<SignIn>::new());
    view! {
        <div class="bare">
            <img class="logo" src="/favicon.svg" alt="" width="40" height="40" />
            <Heading text="Sign in to Signalbox" />
            <form method="post" action=SignIn::PATH class="card form" novalidate>
                <FormProblem refusal />
                <input type="hidden" name="next" value=query.get("next").unwrap_or_default() />
                <TextField
                    label="Email"
                    name="email"
                    kind="email"
                    autocomplete="username"
                    value=query.get("email").unwrap_or_default()
                    refusal
                />
                <TextField label="Password" name="password" kind="password" autocomplete="current-password" refusal />
                <button class="btn btn-primary btn-block">"Sign in"</button>
            </form>
        </div>
    }
    .into_any()
}
