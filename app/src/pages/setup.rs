//! `/setup`: the first page of a new installation. The server shows it until there is an organization, and never again.

use leptos::{prelude::*, server_fn::ServerFn};
use leptos_router::hooks::use_query_map;

use crate::{
    action::ServerAction,
    calls::setup::CreateOrganization,
    components::{
        field::{FormProblem, Refusal, TextField},
        heading::Heading,
    },
};

/// Creating the organization and its owner.
#[component]
pub fn Setup() -> AnyView {
    let refusal = Refusal::of(ServerAction::<CreateOrganization>::new());
    let query = use_query_map().get_untracked();
    let typed = |name: &str| query.get(name).unwrap_or_default();
    view! {
        <div class="bare">
            <img class="logo" src="/favicon.svg" alt="" width="40" height="40" />
            <Heading text="Set up Signalbox" />
        <form method="post" action=CreateOrganization::PATH class="card form" novalidate>
            <p class="muted">
                "Create your organization and its owner. The one-time token proves that you can read the server's output."
            </p>
            <FormProblem refusal />
            <TextField
                label="Setup token"
                name="token"
                value=typed("token")
                hint="Printed in the terminal, or in the log of the service, when the server starts."
                required=true
                refusal
            />
            <TextField
                label="Organization"
                name="organization"
                value=typed("organization")
                placeholder="Acme Staffing"
                autocomplete="organization"
                required=true
                refusal
            />
            <TextField label="Your name" name="name" value=typed("name") autocomplete="name" required=true refusal />
            <TextField
                label="Email"
                name="email"
                kind="email"
                value=typed("email")
                autocomplete="username"
                required=true
                refusal
            />
            <TextField
                label="Password"
                name="password"
                kind="password"
                autocomplete="new-password"
                hint="At least 12 characters."
                required=true
                refusal
            />
            <button class="btn btn-primary btn-block">"Create organization"</button>
        </form>
        </div>
    }
    .into_any()
}
