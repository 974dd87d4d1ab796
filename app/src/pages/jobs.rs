//! `/jobs`: work on many deliveries, while it goes on and afterwards. It goes on whether anybody watches or not.

use domain::{
    Permission,
    api::{Job, JobKind, JobState, Page},
    human_ms,
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    action::{ActionForm, ServerAction},
    answer::Answer,
    calls::{
        jobs::{CancelJob, list_jobs},
        webhooks::name_webhooks,
    },
    components::{
        field::{FormProblem, Refusal},
        heading::Heading,
        icon::icon,
        loaded::loaded,
        pager::pager,
        status::{Tone, status},
    },
    live::Live,
    session::may,
    time::{Clock, Time},
};

/// The last jobs.
#[component]
pub fn Jobs() -> AnyView {
    let query = use_query_map();
    let live: Live = expect_context();
    let cursor = move || query.with(|query| query.get("cursor"));
    let cancel = ServerAction::<CancelJob>::new();
    let jobs = Answer::new(
        move || (cursor(), cancel.version().get(), live.missed.get()),
        |(cursor, ..)| async {
            let names = name_webhooks().await?.into_iter().map(|webhook| (webhook.id, webhook.name)).collect();
            Ok((list_jobs(cursor).await?, names))
        },
    );
    view! {
        <div class="page page-wide">
            <div class="page-head">
                <Heading text="Jobs" />
            </div>
            <p class="muted">
                "Work on many deliveries. It survives a reload and a restart; progress shows by itself with JavaScript."
            </p>
            <FormProblem refusal=Refusal::of(cancel) />
            {loaded(jobs, move |(page, names)| list(page, names, cursor().is_some(), cancel))}
        </div>
    }
    .into_any()
}

type Names = Vec<(domain::WebhookId, String)>;

fn list(page: Page<Job>, names: Names, is_later_page: bool, cancel: ServerAction<CancelJob>) -> AnyView {
    let Page { data, next_cursor } = page;
    let jobs = RwSignal::new(data);
    let live: Live = expect_context();
    live.on_event(move |event| {
        let Some(job) = event.job() else { return };
        let position = jobs.read_untracked().iter().position(|known| known.id == job.id);
        match position {
            Some(position) => jobs.update(|jobs| jobs[position] = job),
            None if is_later_page => {}
            None => jobs.update(|jobs| jobs.insert(0, job)),
        }
    });
    let names = StoredValue::new(names);
    let show = move |job: Job| {
        let id = job.id;
        let first = job.clone();
        // A job changes in place: who is on its button stays there.
        let now = Memo::new(move |_| jobs.read().iter().find(|known| known.id == id).unwrap_or(&first).clone());
        row(&job, &names.with_value(|names| scope(&job, names)), now, cancel)
    };
    view! {
        <div class="table-wrap" hidden=move || jobs.read().is_empty()>
            <table class="table">
                <caption class="sr-only">"Jobs"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Job"</th>
                        <th scope="col">"State"</th>
                        <th scope="col" class="wide">"Progress"</th>
                        <th scope="col">"Result"</th>
                        <th scope="col" class="col-time">"Started"</th>
                        <th scope="col" class="col-actions"><span class="sr-only">"Actions"</span></th>
                    </tr>
                </thead>
                <tbody>
                    <For each=move || jobs.get() key=|job| job.id let:job>
                        {show(job)}
                    </For>
                </tbody>
            </table>
        </div>
        <p class="empty" hidden=move || !jobs.read().is_empty()>
            "No job was started yet. Retry All, Clear All and Replay Failed start one."
        </p>
        {pager("/jobs", is_later_page, next_cursor.as_deref())}
    }
    .into_any()
}

const fn title(kind: JobKind) -> &'static str {
    match kind {
        JobKind::ReplayFailed => "Replay failed",
        JobKind::ReplayMissing => "Replay missing",
        JobKind::ReplayFilter => "Replay",
        JobKind::DeadLettersRetry => "Retry dead letters",
        JobKind::DeadLettersClear => "Clear dead letters",
    }
}

/// To what a job is limited, in words.
fn scope(job: &Job, names: &Names) -> String {
    let webhook = job.scope.webhook_id.map(|id| {
        let name = names.iter().find(|(known, _)| *known == id).map(|(_, name)| name.clone());
        name.unwrap_or_else(|| id.to_string())
    });
    let error = job.scope.error.map(|error| error.title().to_owned());
    let words: Vec<String> = [webhook, job.scope.event.clone(), error].into_iter().flatten().collect();
    if words.is_empty() { "All webhooks".to_owned() } else { words.join(" · ") }
}

fn state(state: JobState) -> AnyView {
    match state {
        JobState::Running => status(Tone::Busy, "retry", "Running"),
        JobState::Done => status(Tone::Good, "check", "Done"),
        JobState::Cancelled => status(Tone::Idle, "ban", "Cancelled"),
        JobState::Failed => status(Tone::Bad, "x", "Failed"),
    }
}

/// What was done, and what was not and why.
fn result(job: &Job) -> String {
    let mut text = format!("{} of {}", job.done, job.matched);
    for (refusal, times) in &job.refusals {
        text = format!("{text}; {times} not: {}", refusal.detail());
    }
    match &job.error {
        Some(error) => format!("{text}. {error}"),
        None => text,
    }
}

/// How fast a job goes and how long it takes, by the clock of the browser until it has ended.
fn pace(job: &Job, clock: Clock) -> String {
    let Some(end) = job.finished_at.or_else(|| clock.now()) else { return String::new() };
    let ms = end.since_ms(job.created_at).max(1);
    let rate = job.matched.saturating_mul(1_000) / ms;
    let rate = if rate > 0 && ms >= 1_000 { format!("{rate}/s, ") } else { String::new() };
    if job.state == JobState::Running {
        let left = ms.saturating_mul(100 - job.percent) / job.percent.max(1);
        format!("{rate}{} left", human_ms(left / 1_000 * 1_000))
    } else {
        format!("{rate}{}", human_ms(ms))
    }
}

fn row(job: &Job, scope: &str, now: Memo<Job>, cancel: ServerAction<CancelJob>) -> AnyView {
    let clock: Clock = expect_context();
    let (id, by) = (job.id.to_string(), job.created_by.clone());
    let runs = move || now.read().state == JobState::Running;
    view! {
        <tr>
            <td class="primary">
                <strong>{title(job.kind)}</strong>
                <br />
                <span class="muted">{scope.to_owned()}</span>
            </td>
            <td>{move || state(now.read().state)}</td>
            <td class="wide">
                <progress max="100" value=move || now.read().percent.to_string() aria-label=format!("Progress of {id}")></progress>
                <span class="muted num">
                    {move || format!("{} %", now.read().percent)}
                    {move || clock.hydrated.get().then(|| format!(" · {}", pace(&now.read(), clock)))}
                </span>
            </td>
            <td class="job-result num">{move || result(&now.read())}</td>
            <td class="col-time">
                <Time at=job.created_at />
                <br />
                <span>{by}</span>
            </td>
            <td class="col-actions">
                {may(Permission::ReplayDeliveries)
                    .then(|| {
                        view! {
                            <ActionForm action=cancel>
                                <input type="hidden" name="id" value=id.clone() />
                                <button class="btn btn-sm" hidden=move || !runs() aria-label=format!("Cancel {id}")>
                                    {icon("x")}
                                    "Cancel"
                                </button>
                            </ActionForm>
                        }
                    })}
            </td>
        </tr>
    }
    .into_any()
}
