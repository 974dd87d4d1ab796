//! `/settings`: how the screens look, what a member is told, who belongs to the organization, and who did what.

mod appearance;
mod audit;
mod members;
mod notifications;

use domain::Permission;
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    action::ServerAction,
    answer::Answer,
    calls::{
        alerts::{SaveNotifications, show_notifications},
        audit::list_audit,
        members::{AddMember, list_members},
        preferences::SavePreferences,
    },
    components::{heading::Heading, loaded::loaded, toast::Toasts},
    session::may,
};

/// All settings on one page.
#[component]
pub fn Settings() -> AnyView {
    let query = use_query_map();
    let cursor = move || query.with(|query| query.get("cursor"));
    let save = ServerAction::<SavePreferences>::new();
    let add = ServerAction::<AddMember>::new();
    let tell = ServerAction::<SaveNotifications>::new();
    let toasts: Toasts = expect_context();
    tell.after_success(move || toasts.say("Saved"));
    let preferences = Answer::new(|| (), |()| show_notifications());
    let members = Answer::new(move || add.version().get(), |_| list_members());
    let audit = Answer::new(cursor, |cursor| async move {
        if may(Permission::ReadAudit) { list_audit(cursor).await.map(Some) } else { Ok(None) }
    });
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Settings" />
            </div>
            {appearance::section(save)}
            <section class="section" aria-labelledby="notifications">
                <div class="section-head">
                    <h2 id="notifications">"Notifications"</h2>
                </div>
                {loaded(preferences, move |preferences| notifications::form(&preferences, tell))}
            </section>
            <section class="section" aria-labelledby="members">
                <div class="section-head">
                    <h2 id="members">"Members"</h2>
                </div>
                {loaded(members, members::table)}
                {may(Permission::ManageMembers).then(|| members::form(add))}
            </section>
            <section class="section" aria-labelledby="audit">
                <div class="section-head">
                    <h2 id="audit">"Audit log"</h2>
                </div>
                {loaded(audit, move |page| audit::table(page, cursor().is_some()))}
            </section>
        </div>
    }
    .into_any()
}
