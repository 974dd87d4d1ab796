//! `/emails/{id}`: one e-mail, its words, and what became of it step by step, with the provider's replies.

use domain::{
    Timestamp,
    api::{EmailDetail, EmailStep, EmailStepKind},
};
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::is_news;
use crate::{
    answer::Answer,
    calls::emails::{EmailScreen, show_email},
    components::{
        copy::CopyButton,
        heading::Heading,
        icon::icon,
        loaded::loaded_or,
        problem::problem_page,
        status::{Tone, email_status, status},
    },
    live::Live,
    time::Time,
};

/// The detail.
#[component]
pub fn EmailPage() -> AnyView {
    let params = use_params_map();
    let live: Live = expect_context();
    let id = move || params.with(|params| params.get("id").unwrap_or_default());
    let ticks = live.ticks(is_news);
    let email = Answer::new(move || (id(), ticks.get(), live.missed.get()), |(id, ..)| show_email(id));
    loaded_or(email, page, problem_page)
}

fn page(screen: EmailScreen) -> AnyView {
    let (timeline, facts, words) = (timeline(&screen), facts(&screen), words(&screen.detail));
    let email = screen.detail.email;
    let id = email.id.to_string();
    let doubt = if email.possibly_duplicated {
        Some("It was sent again although an earlier try may have arrived: whoever sent it allowed that.")
    } else {
        email.possibly_sent.then_some("The server had all of it and did not answer. It may have arrived.")
    };
    view! {
        <div class="page">
            <p class="crumbs">
                <a class="quiet" href="/emails">
                    "E-mails"
                </a>
                " / "
                <span class="mono">{id.clone()}</span>
                <CopyButton text=id label="Copy e-mail id" />
            </p>
            <div class="page-head">
                <div class="page-title">
                    <Heading text=email.subject />
                    {email_status(email.state)}
                    {email.possibly_duplicated.then(|| status(Tone::Warn, "copy", "Possibly duplicated"))}
                </div>
            </div>
            {doubt.map(|text| view! { <p class="notice notice-warn">{icon("alert")} <span>{text}</span></p> })}
            {facts}
            {timeline}
            {words}
        </div>
    }
    .into_any()
}

fn facts(screen: &EmailScreen) -> AnyView {
    let email = &screen.detail.email;
    let fact = |name: &'static str, value: AnyView| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd class="break">{value}</dd>
            </div>
        }
    };
    let time = |at: Timestamp| view! { <Time at /> }.into_any();
    let sender = email.integration_id.map(|id| {
        let name = screen.senders.get(&id).cloned().unwrap_or_else(|| id.to_string());
        view! { <a class="link" href=format!("/integrations/{id}")>{name}</a> }.into_any()
    });
    view! {
        <dl class="facts">
            {fact("To", email.to.clone().into_any())} {sender.map(|sender| fact("Through", sender))}
            {email.template.clone().map(|template| fact("Template", template.into_any()))}
            {email.category.clone().map(|category| fact("Category", category.into_any()))}
            {fact("Tries", email.tries.into_any())}
            {email.next_try_at.map(|at| fact("Next try", time(at)))}
            {email.sent_at.map(|at| fact("Taken by the provider", time(at)))}
            {email.delivered_at.map(|at| fact("Delivered", time(at)))}
        </dl>
    }
    .into_any()
}

fn timeline(screen: &EmailScreen) -> AnyView {
    let EmailDetail { email, steps, .. } = &screen.detail;
    // What put it off is no step; it is told for as long as it waits.
    let waits = email.next_try_at.filter(|_| steps.last().is_none_or(|step| step.detail != email.detail));
    let waits = waits.filter(|_| !email.detail.is_empty()).map(|at| {
        view! {
            <li>
                <span class="muted num">"until " <Time at /></span>
                {status(Tone::Idle, "clock", "Waits")}
                <div class="grow break pre">{email.detail.clone()}</div>
            </li>
        }
    });
    let steps = steps.iter().map(|step| line(step, screen)).collect_view();
    view! {
        <section class="section" aria-labelledby="timeline">
            <div class="section-head">
                <h2 id="timeline">"What became of it"</h2>
            </div>
            <ol class="log card" aria-label="Steps">
                <li>
                    <span class="muted num"><Time at=email.created_at /></span>
                    {status(Tone::Idle, "inbox", "Accepted")}
                </li>
                {steps} {waits}
            </ol>
        </section>
    }
    .into_any()
}

fn line(step: &EmailStep, screen: &EmailScreen) -> AnyView {
    let (tone, name, word) = match step.kind {
        EmailStepKind::Deferred => (Tone::Warn, "retry", "Deferred"),
        EmailStepKind::Sent => (Tone::Busy, "send", "Sent"),
        EmailStepKind::Delivered => (Tone::Good, "check", "Delivered"),
        EmailStepKind::Bounced => (Tone::Bad, "x", "Bounced"),
        EmailStepKind::Complained => (Tone::Bad, "alert", "Reported as spam"),
        EmailStepKind::Unsubscribed => (Tone::Idle, "minus", "Unsubscribed"),
        EmailStepKind::Suppressed => (Tone::Idle, "ban", "Suppressed"),
        EmailStepKind::Failed => (Tone::Bad, "x", "Given up"),
    };
    let through = step.integration_id.and_then(|id| screen.senders.get(&id).cloned());
    view! {
        <li>
            <span class="muted num"><Time at=step.at /></span>
            {status(tone, name, word)}
            <div class="grow">
                <span class="mono break pre">{step.detail.clone()}</span>
                {through.map(|name| view! { <span class="sub muted">{format!("Through {name}")}</span> })}
            </div>
        </li>
    }
    .into_any()
}

fn words(detail: &EmailDetail) -> AnyView {
    let content = &detail.content;
    let src = format!("/_ui/emails/{}/html", detail.email.id);
    let html = (!content.html.is_empty()).then(|| {
        view! {
            <section class="section" aria-labelledby="html">
                <div class="section-head">
                    <h2 id="html">"HTML"</h2>
                </div>
                <iframe class="mail" src=src title="The e-mail as HTML" sandbox="" referrerpolicy="no-referrer"></iframe>
            </section>
        }
    });
    view! {
        {html}
        <section class="section" aria-labelledby="text">
            <div class="section-head">
                <h2 id="text">"Text"</h2>
            </div>
            <pre class="code pre break" tabindex="0" aria-label="The e-mail as text">
                {content.text.clone()}
            </pre>
        </section>
    }
    .into_any()
}
