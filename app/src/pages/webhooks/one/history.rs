//! Everything that was sent to one webhook.

use domain::api::{Delivery, DeliveryQuery, Page, Webhook};
use leptos::prelude::*;

use crate::components::{
    delivery_table::{Arrival, DeliveryTable},
    pager::pager,
};

/// The tab.
pub fn tab(webhook: &Webhook, page: Option<Page<Delivery>>, is_later_page: bool) -> AnyView {
    let Page { data, next_cursor } = page.unwrap_or(Page { data: Vec::new(), next_cursor: None });
    let id = webhook.id;
    let path = format!("/webhooks/{id}?tab=deliveries");
    view! {
        <section class="section">
            <div class="section-head">
                <p class="muted">"Newest first."</p>
                <a class="link" href=format!("/deliveries?webhook_id={id}")>
                    "Filter by status, event and time"
                </a>
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
