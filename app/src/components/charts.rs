//! Small pictures of figures, drawn on the server. Each says in words what it shows; the figures themselves stand in a table
//! beside it. Shapes stretch to the room that there is, so text never stands inside of them.

use std::fmt::Write;

use domain::{
    api::{DayTries, HealthFigures, HealthHour, HourFigures},
    human_ms,
};
use leptos::prelude::*;

use super::{
    problem::encode,
    status::{count, thousands},
};
use crate::time::utc;

/// Height of a chart in its own units; an hour is 10 wide.
const HEIGHT: f64 = 60.0;
/// Height of a sparkline; a day is 3 wide.
const DAY_HEIGHT: f64 = 20.0;

/// `part` of `whole`, of a height; what is there can be seen however little it is.
fn height(part: i64, whole: i64, of: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let share = part as f64 / whole.max(1) as f64;
    if part == 0 { 0.0 } else { (share * of).max(1.0) }
}

/// Adds a bar to a path.
fn bar(path: &mut String, x: f64, bottom: f64, width: f64, height: f64) {
    if height > 0.0 {
        _ = write!(path, "M{x:.1} {bottom:.1}h{width:.1}v-{height:.1}h-{width:.1}z");
    }
}

/// The left edge of the `index`-th of things that are `width` wide.
fn left(index: usize, width: u32) -> f64 {
    f64::from(u32::try_from(index).unwrap_or_default() * width)
}

/// A line through values, broken where there is none; a value alone is a dash.
fn line(values: impl Iterator<Item = Option<i64>>, most: i64) -> String {
    let mut path = String::new();
    let mut values = values.enumerate().peekable();
    let mut drawing = false;
    while let Some((index, value)) = values.next() {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let (x, y) = (left(index, 10) + 5.0, HEIGHT - height(value, most, HEIGHT - 4.0));
        let goes_on = values.peek().is_some_and(|(_, next)| next.is_some());
        _ = match (drawing, goes_on) {
            (true, _) => write!(path, "L{x:.1} {y:.1}"),
            (false, true) => write!(path, "M{x:.1} {y:.1}"),
            (false, false) => write!(path, "M{:.1} {y:.1}h8", x - 4.0),
        };
        drawing = true;
    }
    path
}

fn chart(title: &'static str, legend: AnyView, top: String, summary: String, shapes: AnyView) -> AnyView {
    view! {
        <figure class="card chart">
            <figcaption class="section-head">
                <h3>{title}</h3>
                <span class="legend">{legend}</span>
            </figcaption>
            <p class="chart-top muted num">{top}</p>
            <svg viewBox=format!("0 0 240 {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=summary>
                {shapes}
            </svg>
            <p class="chart-hours muted">
                <span>"24 h ago"</span>
                <span>"12 h ago"</span>
                <span>"now"</span>
            </p>
        </figure>
    }
    .into_any()
}

/// Tries per hour: what was delivered, and on top of it what failed.
pub fn tries_chart(hours: &[HourFigures]) -> AnyView {
    let most = hours.iter().map(|hour| hour.tries.tries()).max().unwrap_or_default();
    let (mut delivered, mut failed) = (String::new(), String::new());
    for (index, hour) in hours.iter().enumerate() {
        let good = height(hour.tries.delivered, most, HEIGHT);
        bar(&mut delivered, left(index, 10) + 1.0, HEIGHT, 8.0, good);
        let bad = height(hour.tries.failed, most, HEIGHT).min(HEIGHT - good.min(HEIGHT - 1.0));
        bar(&mut failed, left(index, 10) + 1.0, HEIGHT - good, 8.0, bad);
    }
    let sum = |of: fn(&HourFigures) -> i64| thousands(hours.iter().map(of).sum());
    let summary = format!(
        "Tries per hour of the last 24 hours: {} delivered, {} failed, at most {} in an hour",
        sum(|hour| hour.tries.delivered),
        sum(|hour| hour.tries.failed),
        thousands(most)
    );
    let legend = view! {
        <i class="key key-good"></i>
        "Delivered"
        <i class="key key-bad"></i>
        "Failed"
    };
    let shapes = view! {
        <path class="shape-good" d=delivered></path>
        <path class="shape-bad" d=failed></path>
    };
    chart("Tries per hour", legend.into_any(), thousands(most), summary, shapes.into_any())
}

/// How long tries took, hour by hour.
pub fn duration_chart(hours: &[HourFigures]) -> AnyView {
    let most = hours.iter().filter_map(|hour| hour.tries.p95_ms).max().unwrap_or_default();
    let p50 = line(hours.iter().map(|hour| hour.tries.p50_ms), most);
    let p95 = line(hours.iter().map(|hour| hour.tries.p95_ms), most);
    let summary = format!("Duration of tries, hour by hour: the highest 95th percentile is {}", human_ms(most));
    let legend = view! {
        <i class="key key-line"></i>
        "p50"
        <i class="key key-dashes"></i>
        "p95"
    };
    let shapes = view! {
        <path class="shape-line" d=p50></path>
        <path class="shape-dashes" d=p95></path>
    };
    let top = if most == 0 { "–".to_owned() } else { human_ms(most) };
    chart("Duration of tries", legend.into_any(), top, summary, shapes.into_any())
}

/// Hours that have figures, each at its place among the last 24; the newest is the last.
fn spread(hours: &[HealthHour]) -> Vec<HealthFigures> {
    let mut spread = vec![HealthFigures::default(); 24];
    let end = hours.last().map_or(0, |hour| hour.at.millis());
    for hour in hours {
        let ago = usize::try_from((end - hour.at.millis()) / 3_600_000).unwrap_or(usize::MAX);
        if let Some(place) = 23_usize.checked_sub(ago) {
            spread[place] = hour.figures;
        }
    }
    spread
}

/// Results of an integration per hour: good ones, and on top of them bad ones.
pub fn results_chart(hours: &[HealthHour]) -> AnyView {
    let hours = spread(hours);
    let (good, bad) =
        (|it: &HealthFigures| it.work_ok + it.checks_ok, |it: &HealthFigures| it.work_failed + it.checks_failed);
    let most = hours.iter().map(|it| good(it) + bad(it)).max().unwrap_or_default();
    let (mut above, mut below) = (String::new(), String::new());
    for (index, figures) in hours.iter().enumerate() {
        let well = height(good(figures), most, HEIGHT);
        bar(&mut below, left(index, 10) + 1.0, HEIGHT, 8.0, well);
        let badly = height(bad(figures), most, HEIGHT).min(HEIGHT - well.min(HEIGHT - 1.0));
        bar(&mut above, left(index, 10) + 1.0, HEIGHT - well, 8.0, badly);
    }
    let summary = format!(
        "Results per hour of the last 24 hours: {} good, {} bad",
        thousands(hours.iter().map(good).sum()),
        thousands(hours.iter().map(bad).sum()),
    );
    let legend = view! {
        <i class="key key-good"></i>
        "Good"
        <i class="key key-bad"></i>
        "Bad"
    };
    let shapes = view! {
        <path class="shape-good" d=below></path>
        <path class="shape-bad" d=above></path>
    };
    chart("Results per hour", legend.into_any(), thousands(most), summary, shapes.into_any())
}

/// How long an integration took to answer, hour by hour.
pub fn average_chart(hours: &[HealthHour]) -> AnyView {
    let hours = spread(hours);
    let most = hours.iter().filter_map(|it| it.average_ms).max().unwrap_or_default();
    let average = line(hours.iter().map(|it| it.average_ms), most);
    let summary = format!("Average response time, hour by hour: at most {}", human_ms(most));
    let legend = view! {
        <i class="key key-line"></i>
        "Average"
    };
    let shapes = view! { <path class="shape-line" d=average></path> };
    let top = if most == 0 { "–".to_owned() } else { human_ms(most) };
    chart("Response time", legend.into_any(), top, summary, shapes.into_any())
}

/// The last results as bars, one for each minute in which there were any; the newest is the last.
pub fn heartbeats(beats: &[HealthHour]) -> Option<AnyView> {
    if beats.is_empty() {
        return None;
    }
    let (mut good, mut bad) = (String::new(), String::new());
    for (index, beat) in beats.iter().enumerate() {
        let failed = beat.figures.work_failed + beat.figures.checks_failed > 0;
        bar(if failed { &mut bad } else { &mut good }, left(index, 4), DAY_HEIGHT, 3.0, DAY_HEIGHT);
    }
    let failed = beats.iter().filter(|beat| beat.figures.work_failed + beat.figures.checks_failed > 0).count();
    let number = |number: usize| i64::try_from(number).unwrap_or_default();
    let summary = format!("Last {}: {} bad", count(number(beats.len()), "result", "results"), number(failed));
    Some(
        view! {
            <svg class="spark beats" viewBox=format!("0 0 240 {DAY_HEIGHT}") preserveAspectRatio="xMinYMid" role="img" aria-label=summary>
                <path class="shape-good" d=good></path>
                <path class="shape-bad" d=bad></path>
            </svg>
        }
        .into_any(),
    )
}

/// The figures of both charts; an hour leads to its deliveries.
pub fn hours_table(hours: &[HourFigures]) -> AnyView {
    let rows = hours.iter().rev().filter(|hour| hour.tries.tries() > 0).map(|hour| {
        let (from, to) = (hour.at.to_string(), hour.at.plus_ms(3_600_000).to_string());
        let ms = |ms: Option<i64>| ms.map_or_else(|| "–".to_owned(), human_ms);
        view! {
            <tr>
                <th scope="row">
                    <a class="link num" href=format!("/deliveries?from={}&to={}", encode(&from), encode(&to))>
                        {utc(hour.at)[..16].to_owned()}
                        " UTC"
                    </a>
                </th>
                <td class="num">{thousands(hour.tries.delivered)}</td>
                <td class="num">{thousands(hour.tries.failed)}</td>
                <td class="num">{ms(hour.tries.p50_ms)}</td>
                <td class="num">{ms(hour.tries.p95_ms)}</td>
            </tr>
        }
    });
    view! {
        <details class="more">
            <summary>"Figures hour by hour"</summary>
            <div class="card">
                <table class="figures">
                    <caption class="sr-only">"Tries of the last 24 hours"</caption>
                    <thead>
                        <tr>
                            <th scope="col">"Hour from"</th>
                            <th scope="col">"Delivered"</th>
                            <th scope="col">"Failed"</th>
                            <th scope="col">"p50"</th>
                            <th scope="col">"p95"</th>
                        </tr>
                    </thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        </details>
    }
    .into_any()
}

/// Thirty days as bars of equal height: the share that was delivered, and above it what failed.
pub fn sparkline(days: &[DayTries]) -> AnyView {
    let (mut good, mut bad, mut none) = (String::new(), String::new(), String::new());
    for (index, day) in days.iter().enumerate() {
        let (x, tries) = (left(index, 3), day.delivered + day.failed);
        if tries == 0 {
            bar(&mut none, x, DAY_HEIGHT, 2.0, 1.0);
            continue;
        }
        let failed = height(day.failed, tries, DAY_HEIGHT);
        bar(&mut good, x, DAY_HEIGHT, 2.0, DAY_HEIGHT - failed);
        bar(&mut bad, x, failed, 2.0, failed);
    }
    let busy = days.iter().filter(|day| day.delivered + day.failed > 0).count();
    let troubled = days.iter().filter(|day| day.failed > 0).count();
    let days_of = |number: usize| count(i64::try_from(number).unwrap_or_default(), "day", "days");
    let summary = format!("Last 30 days: tries on {}, failures on {}", days_of(busy), days_of(troubled));
    view! {
        <svg class="spark" viewBox=format!("0 0 89 {DAY_HEIGHT}") role="img" aria-label=summary>
            <path class="shape-none" d=none></path>
            <path class="shape-good" d=good></path>
            <path class="shape-bad" d=bad></path>
        </svg>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_breaks_where_there_is_nothing() {
        let path = line([Some(10), None, Some(20), Some(40)].into_iter(), 40);
        assert_eq!(path, "M1.0 46.0h8M25.0 32.0L35.0 4.0");
        assert_eq!(line(std::iter::empty(), 0), "");
    }

    #[test]
    fn little_is_seen_and_nothing_is_not() {
        let mut path = String::new();
        bar(&mut path, 0.0, HEIGHT, 8.0, height(0, 1_000, HEIGHT));
        assert_eq!(path, "");
        bar(&mut path, 0.0, HEIGHT, 8.0, height(1, 1_000_000, HEIGHT));
        assert_eq!(path, "M0.0 60.0h8.0v-1.0h-8.0z");
    }
}
