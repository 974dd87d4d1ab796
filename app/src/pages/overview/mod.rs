//! `/`: whether everything is well, and on a new installation the way to the first delivery.

mod first_run;
pub use first_run::publish_command;

use domain::{
    api::{DeliveryQuery, Overview as Figures},
    human_ms,
};
use leptos::prelude::*;

use crate::{
    calls::{
        deliveries::list_deliveries,
        inspector::inspector_url,
        overview::{CreateFirstWebhook, SendFirstTest, show_overview},
        webhooks::list_webhooks,
    },
    components::{
        delivery_table::{Arrival, DeliveryTable},
        heading::Heading,
        icon::icon,
        loaded::loaded,
    },
    live::Live,
};
use first_run::FirstRun;

/// Deliveries shown below the figures.
const LATEST: u32 = 10;

/// The first screen.
#[component]
pub fn Overview() -> AnyView {
    let live: Live = expect_context();
    let create = ServerAction::<CreateFirstWebhook>::new();
    let test = ServerAction::<SendFirstTest>::new();
    // Whatever was delivered or verified changes the figures; they are asked for again, but not more than the batches come.
    let changed = RwSignal::new(0_u32);
    let arrived = RwSignal::new(false);
    live.on_event(move |_| arrived.set(true));
    Effect::new(move |_| {
        if arrived.get() {
            arrived.set(false);
            changed.update(|times| *times += 1);
        }
    });
    let figures = Resource::new(
        move || (changed.get(), live.reopened.get(), create.version().get(), test.version().get()),
        |_| show_overview(),
    );
    let webhooks = Resource::new(move || create.version().get(), |_| list_webhooks(None));
    let inspector = Resource::new(|| (), |()| inspector_url());
    let latest = Resource::new(
        move || live.reopened.get(),
        |_| list_deliveries(DeliveryQuery { limit: Some(LATEST), ..DeliveryQuery::default() }, None),
    );
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Overview" />
                <a class="btn btn-primary" href="/webhooks/new" aria-keyshortcuts="n">
                    {icon("plus")}
                    "New Webhook"
                </a>
            </div>
            <FirstRun figures webhooks inspector create test />
            {loaded(figures, |figures| cards(&figures))}
            <section class="section">
                <div class="section-head">
                    <h2>"Latest deliveries"</h2>
                    <a class="link" href="/deliveries">
                        "View all"
                    </a>
                </div>
                {loaded(
                    latest,
                    |page| {
                        view! {
                            <DeliveryTable
                                caption="Latest deliveries"
                                rows=page.data
                                query=DeliveryQuery::default()
                                arrival=Arrival::Enters(LATEST as usize)
                                with_webhook=true
                                empty=|| {
                                    view! {
                                        <p class="empty">
                                            "Nothing was sent yet. As soon as an event is published, its deliveries appear here."
                                        </p>
                                    }
                                }
                            />
                        }
                    },
                )}
            </section>
        </div>
    }
    .into_any()
}

fn cards(figures: &Figures) -> AnyView {
    let tries = figures.delivered_24h + figures.failed_24h;
    let card = |title: &'static str, value: String, detail: String, href: &'static str| {
        view! {
            <a class="card stat" href=href>
                <span class="stat-title">{title}</span>
                <span class="stat-value num">{value}</span>
                <span class="muted">{detail}</span>
            </a>
        }
    };
    view! {
        <div class="stats">
            {card(
                "Delivered (24 h)",
                figures.delivered_24h.to_string(),
                success_rate(figures.delivered_24h, tries).map_or_else(|| "no tries yet".to_owned(), |rate| format!("{rate} of tries")),
                "/deliveries?status=delivered&range=24h",
            )}
            {card(
                "Failed (24 h)",
                figures.failed_24h.to_string(),
                if figures.failed_24h == 0 { "none".to_owned() } else { "tries that failed".to_owned() },
                "/deliveries?range=24h",
            )}
            {card(
                "Mean time (24 h)",
                figures.mean_ms_24h.map_or_else(|| "–".to_owned(), human_ms),
                "per try".to_owned(),
                "/deliveries?range=24h",
            )}
            {card(
                "Dead letters",
                figures.dead_letters.to_string(),
                if figures.dead_letters == 0 { "nothing to do".to_owned() } else { "waiting for you".to_owned() },
                "/deliveries?status=dead_letter",
            )}
            {card(
                "Webhooks",
                figures.webhooks.to_string(),
                if figures.disabled_webhooks == 0 {
                    "all active".to_owned()
                } else {
                    format!("{} disabled", figures.disabled_webhooks)
                },
                "/webhooks",
            )}
        </div>
    }
    .into_any()
}

/// `99.2%` of `tries`, cut and not rounded: 100% means all of them.
pub fn success_rate(delivered: i64, tries: i64) -> Option<String> {
    if tries == 0 {
        return None;
    }
    let tenths = delivered * 1000 / tries;
    Some(if tenths % 10 == 0 { format!("{}%", tenths / 10) } else { format!("{}.{}%", tenths / 10, tenths % 10) })
}

#[cfg(test)]
mod tests {
    use super::success_rate;

    #[test]
    fn all_means_all() {
        assert_eq!(success_rate(0, 0), None);
        assert_eq!(success_rate(9_999, 10_000).as_deref(), Some("99.9%"));
        assert_eq!(success_rate(10, 10).as_deref(), Some("100%"));
        assert_eq!(success_rate(0, 3).as_deref(), Some("0%"));
    }
}
