//! JSON as text: checked and laid out without building a tree, so that numbers, key order and duplicate keys stay exactly as
//! they were received, on the server and in the browser alike.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

/// The part of an event's body that its publisher gave.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The `data` of an event's body, laid out.
pub fn data_of(body: &str) -> Option<String> {
    let Body { data } = serde_json::from_str(body).ok()?;
    Some(pretty(data.get()).unwrap_or_else(|| data.get().to_owned()))
}

/// What is wrong with `text` as JSON, with line and column; `None` when nothing is.
pub fn problem(text: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).err().map(|error| format!("Not valid JSON: {error}"))
}

/// `text` with one member per line and two spaces per level; `None` if it is not JSON, or would become many times longer.
pub fn pretty(text: &str) -> Option<String> {
    if problem(text).is_some() {
        return None;
    }
    let longest = text.len() * 8 + 4096;
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    // Inside strings these are always escaped, so they are only ever layout.
    let mut characters = text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\t')).peekable();
    while let Some(c) = characters.next() {
        if out.len() > longest {
            return None;
        }
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            ' ' => {}
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while characters.next_if_eq(&' ').is_some() {}
                if let Some(end) = characters.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    break_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push(c),
        }
    }
    Some(out)
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_without_touching_values() {
        let text = "{\"b\" : [1.00, {} ,[ ], \"a \\\" {,}: \\\\\"],\n\"a\":12345678901234567890, \"é\\u0000\":null}";
        let expected = "{\n  \"b\": [\n    1.00,\n    {},\n    [],\n    \"a \\\" {,}: \\\\\"\n  ],\n  \"a\": \
                        12345678901234567890,\n  \"é\\u0000\": null\n}";
        assert_eq!(pretty(text).as_deref(), Some(expected));
        assert_eq!(pretty(expected).as_deref(), Some(expected));
    }

    #[test]
    fn names_the_place() {
        assert_eq!(problem("{\"a\":1}"), None);
        assert_eq!(problem("{\"a\":}").as_deref(), Some("Not valid JSON: expected value at line 1 column 6"));
        assert_eq!(pretty("<html>"), None);
        assert_eq!(pretty("\"a\u{a0} b\"").as_deref(), Some("\"a\u{a0} b\""));
    }

    #[test]
    fn the_data_of_a_body_is_kept_to_the_digit() {
        let body = r#"{"id":"evt_1","data":{"n":1.00,"n":2},"event":"job.created"}"#;
        assert_eq!(data_of(body).as_deref(), Some("{\n  \"n\": 1.00,\n  \"n\": 2\n}"));
        assert_eq!(data_of("[]"), None);
    }

    #[test]
    fn does_not_explode() {
        let (open, close) = ("[".repeat(100), "]".repeat(100));
        assert_eq!(pretty(&format!("{open}{}1{close}", "1,".repeat(5_000))), None);
    }
}
