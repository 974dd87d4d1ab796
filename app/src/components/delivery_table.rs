//! Deliveries as rows, wherever deliveries are listed. Rows that are shown change in place; new ones wait behind a button, so
//! that nothing moves under the pointer, except where the newest few are all there is to see.

use domain::{
    api::{Delivery, DeliveryKind, DeliveryQuery},
    human_ms,
};
use leptos::prelude::*;

use super::{
    field::{FormProblem, Refusal},
    icon::icon,
    status::{delivery_outcome, delivery_status},
    toast::Toasts,
};
use crate::{
    action::{ActionForm, ServerAction},
    calls::deliveries::ReplayDelivery,
    live::Live,
    session::may,
    time::Time,
};

/// Most new rows that wait; older ones are on the next page anyway.
const MOST_WAITING: usize = 200;

/// What happens when something new arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Nothing: this is not the newest page.
    Ignored,
    /// It waits behind the "new" button.
    Waits,
    /// It goes on top, and at most this many rows stay.
    Enters(usize),
}

/// A table of deliveries.
#[component]
pub fn DeliveryTable(
    /// What the table shows, for screen readers.
    caption: &'static str,
    /// The rows, newest first.
    rows: Vec<Delivery>,
    /// The conditions that new rows must meet.
    query: DeliveryQuery,
    /// What happens to new rows.
    arrival: Arrival,
    /// Whether the webhook has a column.
    #[prop(optional)]
    with_webhook: bool,
    /// Shown when there are no rows.
    #[prop(into)]
    empty: ViewFnOnce,
) -> AnyView {
    let live_rows = LiveRows {
        shown: RwSignal::new(rows),
        waiting: RwSignal::default(),
        missed: RwSignal::default(),
        paused: RwSignal::new(false),
    };
    let shown = live_rows.shown;
    if arrival != Arrival::Ignored {
        let live: Live = expect_context();
        live.on_event(move |event| {
            if let Some(delivery) = event.delivery() {
                arrive(&delivery, &query, arrival, live_rows);
            }
        });
    }
    let replay = ServerAction::<ReplayDelivery>::new();
    report_replay(replay);
    let may_replay = may(domain::Permission::ReplayDeliveries);
    let empty = empty.run();
    let table = view! {
        <div class="table-wrap" hidden=move || shown.read().is_empty()>
            <table class="table">
                <caption class="sr-only">{caption}</caption>
                <thead>
                    <tr>
                        <th scope="col" class="col-time">"Time"</th>
                        <th scope="col">"Event"</th>
                        {with_webhook.then(|| view! { <th scope="col">"Webhook"</th> })}
                        <th scope="col">"Status"</th>
                        <th scope="col">"Response"</th>
                        <th scope="col" class="num">"Duration"</th>
                        <th scope="col" class="col-actions"><span class="sr-only">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody>
                    <For
                        each=move || shown.get()
                        key=|row| (row.id, row.attempts, row.status.as_str(), row.finished_at)
                        let:row
                    >
                        {delivery_row(&row, with_webhook, may_replay)}
                    </For>
                </tbody>
            </table>
        </div>
    };
    view! {
        <FormProblem refusal=Refusal::of(replay) />
        {(arrival == Arrival::Waits).then(|| live_bar(live_rows))}
        <ActionForm action=replay>{table}</ActionForm>
        <div hidden=move || !shown.read().is_empty()>{empty}</div>
    }
    .into_any()
}

/// What a table that is alive knows.
#[derive(Clone, Copy)]
struct LiveRows {
    /// Its rows.
    shown: RwSignal<Vec<Delivery>>,
    /// New ones that wait behind the pill.
    waiting: RwSignal<Vec<Delivery>>,
    /// Changes of its rows while it was paused, the last of each row.
    missed: RwSignal<Vec<Delivery>>,
    /// Whether its rows stay as they are.
    paused: RwSignal<bool>,
}

/// Puts a delivery in the place of the row with its id, if there is one.
fn replace(rows: RwSignal<Vec<Delivery>>, delivery: &Delivery) -> bool {
    let position = rows.read_untracked().iter().position(|row| row.id == delivery.id);
    if let Some(position) = position {
        rows.update(|rows| rows[position] = delivery.clone());
    }
    position.is_some()
}

fn arrive(delivery: &Delivery, query: &DeliveryQuery, arrival: Arrival, live_rows: LiveRows) {
    let LiveRows { shown, waiting, missed, paused } = live_rows;
    if paused.get_untracked() {
        if shown.read_untracked().iter().any(|row| row.id == delivery.id) {
            if !replace(missed, delivery) {
                missed.update(|missed| missed.push(delivery.clone()));
            }
            return;
        }
    } else if replace(shown, delivery) {
        return;
    }
    if replace(waiting, delivery) || !query.holds(delivery) {
        return;
    }
    // A change of a row further down the history is not news.
    if shown.read_untracked().first().is_some_and(|newest| newest.id > delivery.id) {
        return;
    }
    match arrival {
        Arrival::Ignored => {}
        Arrival::Enters(most) if !paused.get_untracked() => shown.update(|rows| {
            rows.insert(0, delivery.clone());
            rows.truncate(most);
        }),
        Arrival::Enters(_) | Arrival::Waits => waiting.update(|rows| {
            rows.insert(0, delivery.clone());
            rows.truncate(MOST_WAITING);
        }),
    }
}

fn live_bar(LiveRows { shown, waiting, missed, paused }: LiveRows) -> AnyView {
    let pause = move |_| {
        paused.update(|paused| *paused = !*paused);
        for delivery in std::mem::take(&mut *missed.write()) {
            replace(shown, &delivery);
        }
    };
    let show_new = move |_| {
        let mut new = std::mem::take(&mut *waiting.write());
        shown.update(|rows| {
            new.append(rows);
            *rows = new;
        });
    };
    view! {
        <div class="live-bar needs-js">
            <button type="button" class="pill" hidden=move || waiting.read().is_empty() on:click=show_new>
                {icon("arrow-up")}
                {move || format!("{} new", waiting.read().len())}
            </button>
            <button
                type="button"
                class="btn btn-sm btn-ghost"
                aria-pressed=move || paused.get().to_string()
                title="Stop or go on changing the rows that are shown"
                on:click=pause
            >
                <span class="row" hidden=move || paused.get()>{icon("pause")} "Pause"</span>
                <span class="row" hidden=move || !paused.get()>{icon("play")} "Resume"</span>
            </button>
        </div>
    }
    .into_any()
}

/// Says where the new delivery of a replay is.
fn report_replay(replay: ServerAction<ReplayDelivery>) {
    let toasts: Toasts = expect_context();
    replay.on_success(move |delivery| {
        toasts.say_with_link("Replayed.", format!("/deliveries/{}", delivery.id), "View the new delivery");
    });
}

fn delivery_row(row: &Delivery, with_webhook: bool, may_replay: bool) -> AnyView {
    let id = row.id.to_string();
    let kind = match row.kind {
        DeliveryKind::Event => None,
        DeliveryKind::Test => Some("test"),
        DeliveryKind::Replay => Some("replay"),
        DeliveryKind::Edited => Some("edited"),
    };
    view! {
        <tr>
            <td class="col-time">
                <Time at=row.created_at />
            </td>
            <td class="primary">
                <a class="row-link mono" data-row="" href=format!("/deliveries/{id}")>
                    {row.event.clone()}
                </a>
                {kind.map(|kind| view! { <span class="badge">{kind}</span> })}
            </td>
            {with_webhook
                .then(|| {
                    view! {
                        <td class="truncate">
                            <a class="quiet" href=format!("/webhooks/{}", row.webhook_id)>
                                {row.webhook_name.clone()}
                            </a>
                        </td>
                    }
                })}
            <td>{delivery_status(row.status)}</td>
            <td class="truncate">{delivery_outcome(row)}</td>
            <td class="num">{row.duration_ms.map_or_else(|| "–".to_owned(), human_ms)}</td>
            <td class="col-actions">
                {may_replay
                    .then(|| {
                        view! {
                            <button
                                class="btn btn-sm btn-ghost btn-square"
                                name="id"
                                value=id.clone()
                                aria-label=format!("Replay delivery {id}")
                                title="Replay"
                            >
                                {icon("replay")}
                            </button>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{DeliveryId, EventId, PublicId, Timestamp, WebhookId, delivery::DeliveryState};

    fn delivery(millis: i64) -> Delivery {
        let at = Timestamp::from_millis(millis);
        Delivery {
            id: DeliveryId::new(at, [0; 10]),
            event_id: EventId::new(at, [0; 10]),
            event: "job.created".into(),
            webhook_id: WebhookId::new(at, [0; 10]),
            webhook_name: "A".into(),
            status: DeliveryState::Pending,
            kind: DeliveryKind::Event,
            attempts: 0,
            created_at: at,
            next_attempt_at: None,
            finished_at: None,
            response_status: None,
            error: None,
            duration_ms: None,
            replay_of: None,
        }
    }

    #[test]
    fn new_rows_wait_and_shown_rows_change() {
        let owner = Owner::new();
        owner.with(|| {
            let rows = LiveRows {
                shown: RwSignal::new(vec![delivery(2_000)]),
                waiting: RwSignal::default(),
                missed: RwSignal::default(),
                paused: RwSignal::new(false),
            };
            let LiveRows { shown, waiting, missed, paused } = rows;
            let send = |delivery: &Delivery| arrive(delivery, &DeliveryQuery::default(), Arrival::Waits, rows);
            send(&delivery(3_000));
            send(&delivery(1_000));
            assert_eq!((shown.read().len(), waiting.read().len()), (1, 1));
            send(&Delivery { status: DeliveryState::Delivered, ..delivery(2_000) });
            assert_eq!(shown.read()[0].status, DeliveryState::Delivered);
            paused.set(true);
            send(&delivery(2_000));
            assert_eq!(shown.read()[0].status, DeliveryState::Delivered);
            assert_eq!((missed.read().len(), waiting.read().len()), (1, 1));
        });
    }
}
