//! Who belongs to the organization.

use domain::{Role, api::Member};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    action::{ActionForm, ServerAction},
    calls::members::AddMember,
    components::field::{FormProblem, Refusal, SelectField, TextField, empty_after},
    time::Time,
};

/// All members.
pub fn table(members: Vec<Member>) -> AnyView {
    let rows = members
        .into_iter()
        .map(|member| {
            view! {
                <tr>
                    <td class="primary strong">{member.name}</td>
                    <td class="truncate">{member.email}</td>
                    <td>
                        <span class="badge">{member.role.as_str()}</span>
                    </td>
                    <td class="col-time">
                        <Time at=member.created_at />
                    </td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="sr-only">"Members"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Name"</th>
                        <th scope="col">"Email"</th>
                        <th scope="col">"Role"</th>
                        <th scope="col" class="col-time">"Added"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// Adding a member.
pub fn form(add: ServerAction<AddMember>) -> AnyView {
    let refusal = Refusal::of(add);
    let node = NodeRef::new();
    empty_after(node, add);
    let query = use_query_map().get_untracked();
    let typed = move |name: &str| query.get(name).filter(|_| refusal.is_refused()).unwrap_or_default();
    let (name, email) = (typed("name"), typed("email"));
    let pending = add.pending();
    let roles = Role::ALL.into_iter().rev().map(|role| (role.as_str().to_owned(), words(role).to_owned())).collect();
    view! {
        <details class="more" open=refusal.is_refused()>
            <summary>"Add a member"</summary>
            <ActionForm action=add node_ref=node attr:class="card form" attr:novalidate=true>
                <FormProblem refusal />
                <TextField label="Name" name="name" value=name required=true refusal />
                <TextField label="Email" name="email" kind="email" value=email required=true refusal />
                <SelectField label="Role" name="role" value="viewer" options=roles />
                <TextField
                    label="Password"
                    name="password"
                    kind="password"
                    autocomplete="new-password"
                    hint="At least 12 characters. Hand it over in person."
                    required=true
                    refusal
                />
                <div class="form-foot">
                    <button class="btn btn-primary" disabled=pending>
                        "Add member"
                    </button>
                </div>
            </ActionForm>
        </details>
    }
    .into_any()
}

const fn words(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner: everything, also members",
        Role::Admin => "Admin: everything but members",
        Role::Operator => "Operator: tests and replays, reads everything",
        Role::Viewer => "Viewer: reads",
    }
}
