//! `/dead-letters`: what was given up and waits for a person (part 2, "Dead Letter Queue"). What was chosen stays chosen while
//! the list is fetched again; new dead letters wait behind a button.

mod filters;
mod table;

use std::collections::BTreeSet;

use domain::{DeliveryId, Permission, api::JobKind};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        dead_letters::{DeadLetter, MoveDeadLetters, Queue, RestoreDeadLetters, list_dead_letters},
        filters::filter_choices,
    },
    components::{
        bulk::{BulkAction, bulk_button},
        field::{FormProblem, Refusal},
        filters::{Filters, filter_bar},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        pager::pager,
        saved_views::views,
        status::count,
        toast::Toasts,
    },
    live::{Live, LiveEvent},
    session::may,
};
use filters::{bulk, let_pass, matching};

/// What the parts of the page share.
#[derive(Clone, Copy)]
struct Page {
    act: ServerAction<MoveDeadLetters>,
    restore: ServerAction<RestoreDeadLetters>,
    retry_all: BulkAction,
    clear_all: BulkAction,
    filters: Memo<Filters>,
    /// The rows that are chosen.
    chosen: RwSignal<BTreeSet<DeliveryId>>,
    /// Whether everything that matches is chosen, on this page and elsewhere.
    everything: RwSignal<bool>,
    /// Dead letters that are newer than the list.
    new: RwSignal<BTreeSet<DeliveryId>>,
    /// Grows when the list is to be fetched again.
    refresh: RwSignal<u32>,
    /// The row that has the focus, or had it when it went.
    row: StoredValue<Option<usize>>,
}

/// The queue.
#[component]
pub fn DeadLetters() -> AnyView {
    let query = use_query_map();
    let live: Live = expect_context();
    let filters = Memo::new(move |_| query.with(|query| filters::read(&|name| query.get(name))));
    let page = Page {
        act: ServerAction::new(),
        restore: ServerAction::new(),
        retry_all: BulkAction::new(),
        clear_all: BulkAction::new(),
        filters,
        chosen: RwSignal::default(),
        everything: RwSignal::new(false),
        new: RwSignal::default(),
        refresh: RwSignal::new(0),
        row: StoredValue::new(None),
    };
    let moved = live.ticks(LiveEvent::moves_dead_letters);
    live.on_event(move |event| {
        let wanted = |filters: &Filters| {
            event.dead_letter().filter(|it| let_pass(filters, it.webhook_id, &it.event, it.error)).map(|it| it.id)
        };
        if let Some(id) = filters.with_untracked(wanted) {
            page.new.update(|new| _ = new.insert(id));
        }
    });
    Effect::new(move |_| {
        filters.track();
        page.chosen.update(BTreeSet::clear);
        page.everything.set(false);
    });
    report(page);
    let queue = Answer::new(
        move || {
            let changed = (page.act.version().get(), page.restore.version().get(), page.refresh.get());
            (filters.get(), changed, moved.get(), live.missed.get())
        },
        |(filters, ..)| list_dead_letters(filters::query(&filters)),
    );
    let choices = Answer::new(|| (), |()| filter_choices());
    let cleared = move || query.with(|query| query.get("cleared"));
    view! {
        <div class="page page-wide">
            <div class="page-head">
                <Heading text="Dead Letter Queue" />
                <a class="btn btn-ghost" href="/jobs">
                    {icon("list")}
                    "Jobs"
                </a>
            </div>
            {loaded(choices, move |choices| filter_bar(filters, choices, filters::read))}
            {views("/dead-letters", filters)}
            <FormProblem refusal=Refusal::of(page.act) />
            <FormProblem refusal=Refusal::of(page.restore) />
            {move || cleared().map(|ids| take_back(&ids, page.restore))}
            {loaded(queue, move |queue| content(queue, page))}
        </div>
    }
    .into_any()
}

/// Says what was done, and offers to take a clear back.
fn report(page: Page) {
    let toasts: Toasts = expect_context();
    Effect::new(move |_| {
        let Some(Ok(moved)) = page.act.answer() else { return };
        page.chosen.update(|chosen| chosen.retain(|id| !moved.done.contains(&id.to_string())));
        let done = i64::try_from(moved.done.len()).unwrap_or(i64::MAX);
        let verb = if moved.cleared { "cleared" } else { "queued again" };
        let mut text = format!("{} {verb}.", count(done, "dead letter", "dead letters"));
        if let Some((number, reason)) = moved.refused {
            text = format!("{text} {number} not: {reason}");
        }
        if moved.cleared {
            let ids = moved.done;
            toasts.say_with_undo(text, move || page.restore.dispatch(RestoreDeadLetters { ids: ids.clone() }));
        } else {
            toasts.say(&text);
        }
    });
    page.restore.on_success(move |restored| {
        toasts.say(&format!("{} back.", count(restored, "dead letter is", "dead letters are")));
    });
}

/// Without JavaScript: what was just cleared, and the way back. `ids` are joined by dots, as in the address.
fn take_back(ids: &str, restore: ServerAction<RestoreDeadLetters>) -> AnyView {
    let ids: Vec<String> = ids.split('.').map(str::to_owned).collect();
    let number = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    view! {
        <ActionForm action=restore attr:class="notice">
            {icon("trash")}
            <p class="grow">{format!("{} cleared.", count(number, "dead letter", "dead letters"))}</p>
            {ids.into_iter().map(|id| view! { <input type="hidden" name="ids[]" value=id /> }).collect_view()}
            <button class="btn btn-sm">"Undo"</button>
        </ActionForm>
    }
    .into_any()
}

fn content(queue: Queue, page: Page) -> AnyView {
    let Queue { letters, next_cursor, summary } = queue;
    let filters = page.filters.get_untracked();
    if filters.cursor.is_none() {
        page.new.update(|new| new.retain(|id| letters.first().is_some_and(|first| *id > first.delivery.id)));
    }
    let matching = matching(&filters, &summary.webhooks);
    let items = match matching {
        Some(matching) if filters.is_filtered() => format!("{matching} of {}", count(summary.total, "item", "items")),
        Some(_) => count(summary.total, "item", "items"),
        None => format!("filtered, of {}", count(summary.total, "item", "items")),
    };
    let is_empty = letters.is_empty();
    let is_later_page = filters.cursor.is_some();
    let acts = may(Permission::ReplayDeliveries);
    let show_new = move |_| {
        page.new.update(BTreeSet::clear);
        page.refresh.update(|times| *times += 1);
    };
    let (clear_label, retry_label) = if filters.is_filtered() {
        ("Clear All That Match", "Retry All That Match")
    } else {
        ("Clear All DLQ", "Retry All")
    };
    view! {
        <section class="section" aria-labelledby="failed">
            <div class="section-head">
                <h2 id="failed">"Failed deliveries " <span class="muted num">{format!("({items})")}</span></h2>
                <span class="grow"></span>
                <button
                    type="button"
                    class="pill needs-js"
                    hidden=move || page.new.read().is_empty() || is_later_page
                    on:click=show_new
                >
                    {icon("arrow-up")}
                    {move || format!("{} new", page.new.read().len())}
                </button>
                {(acts && !is_empty)
                    .then(|| {
                        view! {
                            {bulk_button(page.retry_all, bulk(&filters, JobKind::DeadLettersRetry), retry_label, matching)}
                            {bulk_button(page.clear_all, bulk(&filters, JobKind::DeadLettersClear), clear_label, matching)}
                        }
                    })}
            </div>
            {if is_empty { nothing(filters.is_filtered()) } else { table::table(letters, matching, acts, page) }}
            {pager(&filters.path(), is_later_page, next_cursor.as_deref())}
        </section>
    }
    .into_any()
}

fn nothing(is_filtered: bool) -> AnyView {
    if is_filtered {
        return view! { <p class="empty">"No dead letter fits the filters."</p> }.into_any();
    }
    view! {
        <p class="empty">
            "Nothing was given up. Deliveries that fail after all retries wait here for you; how many retries there are is the "
            <a class="link" href="/retry-policy">
                "retry policy"
            </a> "."
        </p>
    }
    .into_any()
}

/// The ids of rows.
fn ids(letters: &[DeadLetter]) -> BTreeSet<DeliveryId> {
    letters.iter().map(|letter| letter.delivery.id).collect()
}
