//! One try in full: what was sent, what came back, and where the time went. What receivers answer is untrusted and only ever
//! becomes text.

use domain::{
    api::{Attempt, AttemptTiming, Header},
    human_bytes, human_ms,
};
use leptos::prelude::*;

use super::{
    copy::CopyButton,
    icon::icon,
    status::{Tone, attempt_outcome, status},
};
use crate::{calls::deliveries::DeliveryScreen, json_text, time::Time};

/// `245ms`, as the wireframes write it.
pub fn short_ms(ms: i64) -> String {
    human_ms(ms).replace(' ', "")
}

/// `✓ 200 OK (Delivered in 245ms)`.
pub fn result_line(attempt: &Attempt) -> AnyView {
    let duration = short_ms(attempt.duration_ms);
    let outcome = attempt_outcome(attempt);
    let (class, mark, text) = if attempt.error.is_none() {
        ("result-line status status-good", "✓", format!(" {outcome} (Delivered in {duration})"))
    } else {
        ("result-line status status-bad", "✗", format!(" {outcome} (Failed after {duration})"))
    };
    view! { <p class=class>{mark}{text}</p> }.into_any()
}

/// A body, laid out if it is JSON, with the raw text one click away.
pub fn body_view(title: &'static str, body: &str, truncated: bool) -> AnyView {
    let size = human_bytes(body.len() as u64);
    let pretty = json_text::pretty(body);
    let raw = body.to_owned();
    let shown = pretty.clone().unwrap_or_else(|| raw.clone());
    let differs = pretty.is_some_and(|pretty| pretty != raw);
    let raw_shown = raw.clone();
    view! {
        <section class="block">
            <div class="block-head">
                <p class="block-title">{title}</p>
                <span class="muted num">{size}</span>
                {truncated.then(|| status(Tone::Warn, "scissors", "Truncated"))}
                <span class="grow"></span>
                <CopyButton text=raw label="Copy body" />
            </div>
            {if body.is_empty() {
                view! { <p class="muted block-body">"Empty"</p> }.into_any()
            } else {
                view! { <pre class="code" tabindex="0" aria-label=title>{shown}</pre> }.into_any()
            }}
            {differs
                .then(|| {
                    view! {
                        <details class="raw">
                            <summary>"Raw"</summary>
                            <pre class="code code-wrap">{raw_shown}</pre>
                        </details>
                    }
                })}
        </section>
    }
    .into_any()
}

/// Headers as they were sent.
pub fn headers_view(title: &'static str, headers: &[Header]) -> AnyView {
    let text = headers.iter().map(|header| format!("{}: {}", header.name, header.value)).collect::<Vec<_>>().join("\n");
    let rows = headers
        .iter()
        .map(|header| {
            view! {
                <div>
                    <dt>{header.name.clone()}</dt>
                    <dd>{header.value.clone()}</dd>
                </div>
            }
        })
        .collect_view();
    view! {
        <section class="block">
            <div class="block-head">
                <p class="block-title">{title}</p>
                <span class="grow"></span>
                <CopyButton text=text label="Copy headers" />
            </div>
            {if headers.is_empty() {
                view! { <p class="muted block-body">"None"</p> }.into_any()
            } else {
                view! { <dl class="headers" tabindex="0" aria-label=title>{rows}</dl> }.into_any()
            }}
        </section>
    }
    .into_any()
}

/// The phases of a try as bars, with the figures beside them.
fn waterfall(timing: AttemptTiming, duration_ms: i64) -> AnyView {
    let total = u32::try_from(duration_ms.max(1)).unwrap_or(u32::MAX);
    let connecting = [("DNS lookup", timing.dns_ms), ("Connect", timing.connect_ms), ("TLS handshake", timing.tls_ms)];
    let connected: u32 = connecting.iter().filter_map(|(_, ms)| *ms).fold(0, u32::saturating_add);
    // The first byte is counted from the beginning of the try.
    let waiting = timing.first_byte_ms.map(|ms| ms.saturating_sub(connected));
    let reading = timing.first_byte_ms.map(|ms| total.saturating_sub(ms));
    let phases = connecting.into_iter().chain([("Waiting", waiting), ("Reading", reading)]);
    let mut start = 0_u32;
    let rows = phases
        .filter_map(|(name, ms)| {
            let ms = ms?;
            let from = f64::from(start.min(total)) * 100.0 / f64::from(total);
            let width = (f64::from(ms) * 100.0 / f64::from(total)).min(100.0 - from).max(0.5);
            start = start.saturating_add(ms);
            Some(view! {
                <tr>
                    <th scope="row">{name}</th>
                    <td class="num">{format!("{ms} ms")}</td>
                    <td class="wide">
                        <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
                            <rect x=format!("{from:.1}") y="0" width=format!("{width:.1}") height="4" rx="1"></rect>
                        </svg>
                    </td>
                </tr>
            })
        })
        .collect_view();
    view! {
        <table class="waterfall">
            <caption>"Timing"</caption>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

/// A command that sends the same request again. Credentials in it are masked as everywhere.
pub fn curl_of(attempt: &Attempt, body: &str) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let mut lines = vec![format!("curl -X POST {}", quote(&attempt.url))];
    lines.extend(
        attempt
            .request_headers
            .iter()
            .filter(|header| !["host", "content-length"].contains(&header.name.to_ascii_lowercase().as_str()))
            .map(|header| format!("-H {}", quote(&format!("{}: {}", header.name, header.value)))),
    );
    lines.push(format!("--data-raw {}", quote(body)));
    lines.join(" \\\n  ")
}

/// What was sent, or that it is not kept any more.
pub fn payload_view(request_body: Option<&str>) -> AnyView {
    match request_body {
        Some(body) => body_view("Body:", body, false),
        None => view! { <p class="muted">"The payload is not kept any more."</p> }.into_any(),
    }
}

/// Request, response and timing of one try.
pub fn attempt_view(attempt: &Attempt, request_body: Option<&str>) -> AnyView {
    let curl = request_body.map(|body| curl_of(attempt, body));
    view! {
        <div class="attempt">
            {attempt.error_detail.clone().map(|detail| view! { <p class="notice notice-bad">{icon("alert")} {detail}</p> })}
            <div class="columns">
                <div class="stack">
                    <div class="block-head">
                        <h3>"Request:"</h3>
                        <span class="grow"></span>
                        {curl.map(|curl| view! { <CopyButton text=curl label="Copy as cURL" visible=true /> })}
                    </div>
                    <p class="mono break">{format!("POST {}", attempt.url)}</p>
                    {headers_view("Headers:", &attempt.request_headers)}
                    {payload_view(request_body)}
                </div>
                <div class="stack">
                    <div class="block-head">
                        <h3>"Response:"</h3>
                    </div>
                    <p class="mono break">{attempt_outcome(attempt)}</p>
                    {headers_view("Response headers", &attempt.response_headers)}
                    {body_view("Response body", &attempt.response_body, attempt.response_truncated)}
                    {waterfall(attempt.timing, attempt.duration_ms)}
                </div>
            </div>
        </div>
    }
    .into_any()
}

/// All tries of a delivery on a line, the last one open.
pub fn timeline(detail: &DeliveryScreen) -> AnyView {
    let last = detail.attempts_made.len();
    detail
        .attempts_made
        .iter()
        .enumerate()
        .map(|(index, attempt)| {
            let (tone, name) = if attempt.error.is_none() { (Tone::Good, "check") } else { (Tone::Bad, "x") };
            view! {
                <details class="try" open=index + 1 == last>
                    <summary>
                        <span class="try-number num">{format!("#{}", attempt.number)}</span>
                        {status(tone, name, if attempt.error.is_none() { "Delivered" } else { "Failed" })}
                        <span class="mono">{attempt_outcome(attempt)}</span>
                        <span class="grow"></span>
                        <span class="num muted">{human_ms(attempt.duration_ms)}</span>
                        <Time at=attempt.started_at />
                    </summary>
                    {attempt_view(attempt, detail.request_body.as_deref())}
                </details>
            }
        })
        .collect_view()
        .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;

    #[test]
    fn curl_survives_quotes() {
        let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
        let attempt = Attempt {
            number: 1,
            started_at: Timestamp::default(),
            duration_ms: 1,
            timing: AttemptTiming::default(),
            url: "https://example.com/a?b=c".into(),
            request_headers: vec![header("Host", "example.com"), header("X-A", "it's")],
            response_status: None,
            response_headers: Vec::new(),
            response_body: String::new(),
            response_truncated: false,
            error: None,
            error_detail: None,
        };
        assert_eq!(
            curl_of(&attempt, "{\"a\":\"it's\"}"),
            "curl -X POST 'https://example.com/a?b=c' \\\n  -H 'X-A: it'\\''s' \\\n  --data-raw '{\"a\":\"it'\\''s\"}'"
        );
    }
}
