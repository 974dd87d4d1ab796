//! Everything that was sent to one webhook.

use domain::{
    Permission,
    api::{Delivery, DeliveryQuery, JobKind, Page},
};
use leptos::prelude::*;
use std::sync::Arc;

use crate::{
    answer::Answer,
    calls::{jobs::Bulk, webhooks::WebhookLine},
    components::{
        bulk::{BulkAction, bulk_button},
        delivery_table::{Arrival, DeliveryTable},
        loaded::loaded,
        pager::pager,
    },
    pages::lazy::Shown,
    session::may,
};

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn webhook_deliveries(
    webhook: Arc<WebhookLine>,
    page: Answer<Option<Page<Delivery>>>,
    is_later_page: bool,
    replay: BulkAction,
) -> Shown {
    Ok(loaded(page, move |page| page.map(|page| tab(&webhook, page, is_later_page, replay))))
}

fn tab(webhook: &WebhookLine, page: Page<Delivery>, is_later_page: bool, replay: BulkAction) -> AnyView {
    let Page { data, next_cursor } = page;
    let id = webhook.id;
    let path = format!("/webhooks/{id}?tab=deliveries");
    view! {
        <section class="section">
            <div class="section-head">
                <p class="muted">"Newest first."</p>
                <a class="link" href=format!("/deliveries?webhook_id={id}")>
                    "Filter by status, event and time"
                </a>
                <span class="grow"></span>
                {may(Permission::ReplayDeliveries)
                    .then(|| {
                        let bulk =
                            Bulk { kind: JobKind::ReplayFailed, webhook_id: Some(id), event: None, error: None };
                        bulk_button(replay, bulk, "Replay Failed", None)
                    })}
            </div>
            <DeliveryTable
                caption="Deliveries of this webhook"
                rows=data
                query=DeliveryQuery { webhook_id: Some(id), ..DeliveryQuery::default() }
                arrival=if is_later_page { Arrival::Ignored } else { Arrival::Waits }
                empty=|| view! { <p class="empty">"Nothing was sent to this webhook yet."</p> }
            />
            {pager(&path, is_later_page, next_cursor.as_deref())}
        </section>
    }
    .into_any()
}
