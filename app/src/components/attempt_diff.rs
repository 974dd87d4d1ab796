//! Two tries of one delivery side by side. Everything is shown, and what differs is marked, so that the one thing which changed
//! between a failure and a success is found at a glance.

use std::collections::BTreeMap;

use domain::{
    api::{Attempt, Header},
    human_ms,
};
use leptos::prelude::*;

use super::status::attempt_outcome;
use crate::json_text;

/// Lines of a text, and whether each differs.
type Marked = Vec<(String, bool)>;

/// A name with both its values.
type Line = (String, String, String);

/// The tables of two tries.
pub fn attempt_diff(first: &Attempt, second: &Attempt) -> AnyView {
    let [before, after] = [first, second]
        .map(|attempt| json_text::pretty(&attempt.response_body).unwrap_or(attempt.response_body.clone()));
    let (marked_before, marked_after) = marks(&before, &after);
    let column = |number: i64, lines: Marked| {
        let lines = lines
            .into_iter()
            .map(|(line, differs)| {
                let line = format!("{line}\n");
                if differs { view! { <mark>{line}</mark> }.into_any() } else { line.into_any() }
            })
            .collect_view();
        view! {
            <pre class="code code-wrap" role="group" tabindex="0" aria-label=format!("Response body of attempt {number}")>
                {lines}
            </pre>
        }
    };
    view! {
        {table("Result and timing", first, second, results(first, second))}
        {table(
            "Response headers",
            first,
            second,
            headers(&first.response_headers, &second.response_headers),
        )}
        {table("Request headers", first, second, headers(&first.request_headers, &second.request_headers))}
        <div class="block-head">
            <h3>"Response body"</h3>
            <span class="muted">{if before == after { "The same in both" } else { "Lines that differ are marked" }}</span>
        </div>
        <div class="columns">{column(first.number, marked_before)} {column(second.number, marked_after)}</div>
    }
    .into_any()
}

fn table(title: &'static str, first: &Attempt, second: &Attempt, lines: Vec<Line>) -> AnyView {
    let rows = lines
        .into_iter()
        .map(|(name, before, after)| {
            let differs = before != after;
            let cell = move |text: String| {
                if differs { view! { <mark>{text}</mark> }.into_any() } else { text.into_any() }
            };
            view! {
                <tr class=(!differs).then_some("same")>
                    <th scope="row">{name}</th>
                    <td class="mono break">{cell(before)}</td>
                    <td class="mono break">{cell(after)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <table class="diff">
            <caption>{title}</caption>
            <thead>
                <tr>
                    <td></td>
                    <th scope="col">{format!("#{}", first.number)}</th>
                    <th scope="col">{format!("#{}", second.number)}</th>
                </tr>
            </thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn results(first: &Attempt, second: &Attempt) -> Vec<Line> {
    let line = |name: &str, value: fn(&Attempt) -> String| (name.to_owned(), value(first), value(second));
    let phase = |ms: Option<u32>| ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"));
    let phases = [first.timing, second.timing]
        .map(|timing| [timing.dns_ms, timing.connect_ms, timing.tls_ms, timing.first_byte_ms].map(phase));
    let [before, after] = phases;
    let names = ["DNS lookup", "Connect", "TLS handshake", "First byte"].map(str::to_owned);
    let timing = names.into_iter().zip(before).zip(after).map(|((name, before), after)| (name, before, after));
    let mut lines = vec![
        line("Status", attempt_outcome),
        line("Error", |attempt| attempt.error_detail.clone().unwrap_or_else(|| "–".to_owned())),
        line("URL", |attempt| attempt.url.clone()),
        line("Duration", |attempt| human_ms(attempt.duration_ms)),
    ];
    lines.extend(timing);
    lines
}

/// All headers of both, by name; `–` where one has none.
fn headers(first: &[Header], second: &[Header]) -> Vec<Line> {
    let mut lines = BTreeMap::<String, [Vec<String>; 2]>::new();
    for (side, headers) in [first, second].into_iter().enumerate() {
        for header in headers {
            lines.entry(header.name.to_ascii_lowercase()).or_default()[side].push(header.value.clone());
        }
    }
    let text = |values: Vec<String>| if values.is_empty() { "–".to_owned() } else { values.join(", ") };
    lines.into_iter().map(|(name, [before, after])| (name, text(before), text(after))).collect()
}

/// The lines of two texts, and whether each lies between what both begin with and what both end with.
fn marks(before: &str, after: &str) -> (Marked, Marked) {
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = before.iter().zip(&after).take_while(|(before, after)| before == after).count();
    let ends = before.iter().rev().zip(after.iter().rev()).take_while(|(before, after)| before == after).count();
    let ends = ends.min(before.len().min(after.len()) - same);
    let mark = |lines: Vec<&str>| {
        let end = lines.len() - ends;
        let mark = |(index, line): (usize, &str)| (line.to_owned(), (same..end).contains(&index));
        lines.into_iter().enumerate().map(mark).collect()
    };
    (mark(before), mark(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_meet_by_name() {
        let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
        let first = [header("Server", "a"), header("set-cookie", "1"), header("Set-Cookie", "2")];
        let second = [header("server", "b"), header("retry-after", "30")];
        let line = |name: &str, before: &str, after: &str| (name.into(), before.into(), after.into());
        assert_eq!(
            headers(&first, &second),
            [line("retry-after", "–", "30"), line("server", "a", "b"), line("set-cookie", "1, 2", "–")]
        );
    }

    #[test]
    fn only_what_lies_between_is_marked() {
        let marked =
            |lines: Marked| lines.into_iter().filter_map(|(line, differs)| differs.then_some(line)).collect::<Vec<_>>();
        let (before, after) = marks("{\n1\n2\n}", "{\n1\n3\n4\n}");
        assert_eq!((before.len(), after.len()), (4, 5));
        assert_eq!((marked(before), marked(after)), (vec!["2".to_owned()], vec!["3".to_owned(), "4".to_owned()]));
        let (before, after) = marks("a\na", "a\na\na");
        assert_eq!((marked(before), marked(after)), (Vec::<String>::new(), vec!["a".to_owned()]));
        let (before, after) = marks("", "x");
        assert_eq!((marked(before), marked(after)), (Vec::<String>::new(), vec!["x".to_owned()]));
    }
}
