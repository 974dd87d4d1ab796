//! What would happen if (FO7): other settings of a group, tried on what was recorded. A form that works by itself: what is asked
//! stands in the address.

use domain::{
    api::{ApiError, Rehearsal, RehearsedMove},
    failover::{FailoverRules, MoveKind},
    human_ms,
};
use leptos::prelude::*;

use crate::{
    calls::failover::{FailoverScreen, RehearsalAsked},
    components::status::{Tone, count, status},
    time::Time,
};

/// The box with what was asked and what comes of it.
pub fn section(screen: &FailoverScreen, asked: Option<RehearsalAsked>) -> AnyView {
    let outcome = screen.rehearsal.as_ref();
    let refused = outcome.and_then(|outcome| outcome.as_ref().err());
    let FailoverRules { failover_threshold, auto_restore, .. } = screen.failover.rules;
    let asked = asked.unwrap_or_else(|| RehearsalAsked {
        hours: "24".to_owned(),
        threshold: failover_threshold.to_string(),
        restore: auto_restore,
    });
    let action = format!("/integrations/{}#rehearsal", screen.id);
    let found = outcome.and_then(|outcome| outcome.as_ref().ok());
    // What is refused as a whole has no field to stand at.
    let problem = refused.filter(|error| error.errors.is_empty()).map(|error| {
        view! { <p class="notice notice-bad">{error.detail.clone()}</p> }
    });
    view! {
        <section class="card stack" aria-labelledby="rehearsal">
            <h3 id="rehearsal">"What would happen if"</h3>
            <p class="muted">
                "Tries settings on what was recorded, and changes nothing. Each piece of work is done again by whoever would have \
                 had it then. How that would have gone is known of who did it; of anybody else it is taken from the newest result \
                 before."
            </p>
            <form method="get" action=action class="form">
                <input type="hidden" name="tab" value="failover" />
                {number("hours", "Look back", "hours", &asked.hours, refused, "hours")}
                {number("threshold", "Threshold", "consecutive failures", &asked.threshold, refused, "failover_threshold")}
                <label class="check">
                    <input type="checkbox" class="checkbox" name="restore" value="true" checked=asked.restore />
                    "Work goes back when the primary recovers"
                </label>
                <div class="form-foot">
                    <button class="btn">"Rehearse"</button>
                </div>
            </form>
            {problem}
            {found.map(result)}
        </section>
    }
    .into_any()
}

fn number(
    name: &'static str,
    label: &'static str,
    unit: &'static str,
    value: &str,
    refused: Option<&ApiError>,
    field: &str,
) -> AnyView {
    let message = refused.and_then(|error| error.field(field)).map(str::to_owned);
    let (id, unit_id, error_id) =
        (format!("rehearsal-{name}"), format!("rehearsal-{name}-unit"), format!("rehearsal-{name}-error"));
    let described = format!("{unit_id} {error_id}");
    view! {
        <div class="field">
            <label class="field-label" for=id.clone()>
                {label}
            </label>
            <div class="with-unit">
                <input
                    class="input num"
                    id=id
                    name=name
                    value=value.to_owned()
                    inputmode="numeric"
                    autocomplete="off"
                    aria-invalid=message.as_ref().map(|_| "true")
                    aria-describedby=described
                />
                <span class="muted" id=unit_id>
                    {unit}
                </span>
            </div>
            <p class="field-error" id=error_id>
                {message}
            </p>
        </div>
    }
    .into_any()
}

fn result(found: &Rehearsal) -> AnyView {
    if found.work + found.checks == 0 {
        return view! { <p role="status">"Nothing was recorded in that time, so nothing can be said."</p> }.into_any();
    }
    let times = |number: usize| count(i64::try_from(number).unwrap_or(i64::MAX), "time", "times");
    let would = match found.moves.len() {
        0 => "Work would not have moved".to_owned(),
        moves => format!("Work would have moved {}", times(moves)),
    };
    let did = match found.actual_moves {
        0 => "it did not move".to_owned(),
        moves => format!("it did move {}", times(moves as usize)),
    };
    let pairs = [
        ("On a backup", human_ms(found.away_s * 1_000)),
        ("Failed at first", count(found.failed.into(), "piece of work", "pieces of work")),
        ("Waited for somebody", count(found.waited.into(), "piece of work", "pieces of work")),
        ("Nobody known to work", human_ms(found.all_down_s * 1_000)),
    ];
    let pairs = pairs.map(|(name, value)| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd class="num">{value}</dd>
            </div>
        }
    });
    let basis = format!(
        "Stands on {} and {} since ",
        count(found.work.into(), "piece of work", "pieces of work"),
        count(found.checks.into(), "check", "checks"),
    );
    let flapping = found.is_flapping.then(|| {
        view! { <p class="notice notice-warn">"So often that it would have stayed until somebody decides."</p> }
    });
    let moves = (!found.moves.is_empty())
        .then(|| view! { <ul class="moves">{found.moves.iter().map(one).collect_view()}</ul> });
    view! {
        <div class="stack" role="status">
            <p class="strong">{format!("{would}; {did}.")}</p>
            {flapping}
            <dl class="pairs">{pairs.collect_view()}</dl>
            {moves}
            <p class="muted">{basis} <Time at=found.from /> "."</p>
        </div>
    }
    .into_any()
}

fn one(moved: &RehearsedMove) -> impl IntoView + use<> {
    let kind = match moved.kind {
        MoveKind::Switched => status(Tone::Warn, "send", "Switched"),
        MoveKind::Restored => status(Tone::Good, "retry", "Restored"),
    };
    let failures = (moved.failures > 0).then(|| count(moved.failures.into(), "failure in a row", "failures in a row"));
    view! {
        <li class="row">
            {kind} <span class="grow">{format!("{} → {}", moved.from_name, moved.to_name)}</span>
            <span class="muted">{failures}</span>
            <span class="muted"><Time at=moved.at /></span>
        </li>
    }
}
