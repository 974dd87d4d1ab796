//! `/`: whether everything is well, what to do if it is not, and on a new installation the way to the first delivery.

mod attention;
mod first_run;
#[cfg(feature = "hydrate")]
pub use first_run::fetch as fetch_first_run;
pub use first_run::publish_command;

use std::time::Duration;

use domain::{
    api::{DeliveryQuery, TryFigures},
    human_ms,
};
use leptos::prelude::*;

use crate::{
    action::ServerAction,
    answer::Answer,
    calls::{
        deliveries::list_deliveries,
        overview::{FirstRun, FirstScreen, show_overview},
        webhooks::SetWebhookState,
    },
    components::{
        charts::{duration_chart, hours_table, tries_chart},
        delivery_table::{Arrival, DeliveryTable},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        status::{count, thousands},
    },
    keyboard::shortcut,
    live::Live,
    pages::{lazy::lazily, webhooks::report_state},
};
use attention::attention;
use first_run::{Steps, first_run};

/// Deliveries shown below the figures.
const LATEST: u32 = 10;
/// Longest wait from a change to the figures that count it; changes meanwhile cost one question.
const REFRESH: Duration = Duration::from_millis(500);

/// The first screen.
#[component]
pub fn Overview() -> AnyView {
    let live: Live = expect_context();
    let steps = Steps { create: ServerAction::new(), test: ServerAction::new() };
    let state = ServerAction::<SetWebhookState>::new();
    report_state(state);
    // Whatever was delivered or verified changes the figures.
    let changed = RwSignal::new(0_u32);
    let is_stale = StoredValue::new(false);
    live.on_event(move |_| is_stale.set_value(true));
    Effect::new(move |_| {
        let refresh = move || {
            if is_stale.get_value() {
                is_stale.set_value(false);
                changed.update(|times| *times += 1);
            }
        };
        _ = set_interval(refresh, REFRESH);
    });
    let screen = Answer::new(
        move || {
            (
                changed.get(),
                live.missed.get(),
                steps.create.version().get(),
                steps.test.version().get(),
                state.version().get(),
            )
        },
        |_| show_overview(),
    );
    let needed = StoredValue::new(None);
    let latest = Answer::new(
        move || live.missed.get(),
        |_| list_deliveries(DeliveryQuery { limit: Some(LATEST), ..DeliveryQuery::default() }),
    );
    view! {
        <div class="page">
            <div class="page-head">
                <Heading text="Overview" />
                <a class="btn btn-primary" href="/webhooks/new" aria-keyshortcuts=shortcut("n")>
                    {icon("plus")}
                    "New Webhook"
                </a>
            </div>
            {loaded(screen, move |screen| (first_steps(&screen, needed, steps), summary(&screen, state)))}
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

/// The panel of a new installation. Once seen it stays until the page is left, so that the last tick can be seen too.
fn first_steps(screen: &FirstScreen, needed: StoredValue<Option<FirstRun>>, steps: Steps) -> Option<AnyView> {
    if screen.first_run.is_some() {
        needed.set_value(screen.first_run.clone());
    }
    let needed = needed.get_value()?;
    let figures = screen.figures.clone();
    Some(lazily(move || Box::pin(first_run(figures.clone(), needed.clone(), steps))))
}

fn summary(screen: &FirstScreen, state: ServerAction<SetWebhookState>) -> AnyView {
    let figures = &screen.figures;
    let charts = figures.has_delivered.then(|| {
        view! {
            <div class="charts">{tries_chart(&figures.hours)} {duration_chart(&figures.hours)}</div>
            {hours_table(&figures.hours)}
        }
    });
    view! {
        <div class="stack-wide">
            {cards(screen)} {attention(screen, state)} {charts}
        </div>
    }
    .into_any()
}

/// `+12% · 1,098 before`.
fn trend(now: i64, before: i64) -> String {
    match (now - before) * 100 / before.max(1) {
        _ if before == 0 => "none the 24 h before".to_owned(),
        0 => format!("as many as before: {}", thousands(before)),
        percent @ -999..=999 => format!("{percent:+}% · {} before", thousands(before)),
        _ => format!("{} before", thousands(before)),
    }
}

fn cards(screen: &FirstScreen) -> AnyView {
    let (figures, integrations) = (&screen.figures, &screen.integrations);
    let (now, before) = (figures.last_24h, figures.before);
    let card = |title: &'static str, value: String, detail: String, href: &'static str| {
        view! {
            <a class="card stat" href=href>
                <span class="stat-title">{title}</span>
                <span class="stat-value num">{value}</span>
                <span class="muted num">{detail}</span>
            </a>
        }
    };
    let rate = |tries: TryFigures| success_rate(tries.delivered, tries.tries());
    let ms = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), human_ms);
    let (waiting, disabled) = (figures.dead_letters, figures.disabled_webhooks);
    view! {
        <div class="stats">
            {card(
                "Delivered (24 h)",
                thousands(now.delivered),
                trend(now.delivered, before.delivered),
                "/deliveries?status=delivered&range=24h",
            )}
            {card("Failed tries (24 h)", thousands(now.failed), trend(now.failed, before.failed), "/deliveries?range=24h")}
            {card(
                "Success rate (24 h)",
                rate(now).unwrap_or_else(|| "–".to_owned()),
                rate(before).map_or_else(|| "no tries before".to_owned(), |rate| format!("{rate} before")),
                "/deliveries?range=24h",
            )}
            {card(
                "Duration p50 (24 h)",
                ms(now.p50_ms),
                format!("p95 {} · {} before", ms(now.p95_ms), ms(before.p95_ms)),
                "/deliveries?range=24h",
            )}
            {card(
                "Dead letters",
                thousands(waiting),
                if waiting == 0 { "nothing to do".to_owned() } else { "waiting for you".to_owned() },
                "/dead-letters",
            )}
            {card(
                "Webhooks",
                thousands(figures.webhooks),
                if disabled == 0 { "none disabled".to_owned() } else { count(disabled, "disabled", "disabled") },
                "/webhooks",
            )}
            {card(
                "Integrations",
                thousands(integrations.total),
                match (integrations.total, integrations.errors) {
                    (0, _) => "none yet".to_owned(),
                    (_, 0) => format!("{}% active", integrations.active_percent),
                    (_, errors) => count(errors, "does not work", "do not work"),
                },
                "/integrations",
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
    use super::{success_rate, trend};

    #[test]
    fn all_means_all() {
        assert_eq!(success_rate(0, 0), None);
        assert_eq!(success_rate(9_999, 10_000).as_deref(), Some("99.9%"));
        assert_eq!(success_rate(10, 10).as_deref(), Some("100%"));
        assert_eq!(success_rate(0, 3).as_deref(), Some("0%"));
    }

    #[test]
    fn trends_in_words() {
        assert_eq!(trend(5, 0), "none the 24 h before");
        assert_eq!(trend(1_230, 1_098), "+12% · 1,098 before");
        assert_eq!(trend(5, 10), "-50% · 10 before");
        assert_eq!(trend(7, 7), "as many as before: 7");
        assert_eq!(trend(90_000, 3), "3 before");
    }
}
