//! Words with values in them: rendered within bounds, values escaped where they stand in HTML.
//!
//! Who writes a template is not thereby entitled to the server's time or memory: rendering has fuel, and its result a size.
//! Templates cannot include one another, call nothing of ours, and a value that is missing is an error, not a gap.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use domain::{
    Problems,
    api::{MAX_EMAIL_BODY, RenderedEmail},
};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

/// Steps that one template may take.
const FUEL: u64 = 50_000;
/// Longest subject, in characters.
const MAX_SUBJECT: usize = 500;

/// Values by name.
pub(super) type Data = BTreeMap<String, Value>;

/// A result that does not grow beyond its bound.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_EMAIL_BODY {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fills in the values. Says in which field what is wrong.
pub(super) fn render(subject: &str, text: &str, html: &str, data: &Data) -> Result<RenderedEmail, Problems> {
    let mut problems = Problems::default();
    let mut part = |field: &str, template: &str, escape: AutoEscape| {
        fill(template, escape, data).unwrap_or_else(|message| {
            problems.add(field, message);
            String::new()
        })
    };
    let subject = part("subject", subject, AutoEscape::None);
    let html = part("html", html, AutoEscape::Html);
    let text = part("text", text, AutoEscape::None);
    let text = if text.trim().is_empty() { text_of(&html) } else { text };
    problems.or(RenderedEmail { subject: one_line(&subject), text, html })
}

/// Whether templates can be read at all, whatever the values.
pub(super) fn check(subject: &str, text: &str, html: &str) -> Result<(), Problems> {
    let mut problems = Problems::default();
    for (field, template) in [("subject", subject), ("text", text), ("html", html)] {
        if let Err(error) = Environment::new().template_from_str(template) {
            problems.add(field, said(&error));
        }
    }
    problems.or(())
}

fn fill(template: &str, escape: AutoEscape, data: &Data) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(move |_| escape.clone());
    let mut filled = Bounded(Vec::new());
    let template = environment.template_from_str(template).map_err(|error| said(&error))?;
    let values = minijinja::value::Serde(data);
    template.render_captured_to(values, &mut filled).map_err(|error| said(&error))?;
    Ok(String::from_utf8_lossy(&filled.0).into_owned())
}

fn said(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
    match error.kind() {
        ErrorKind::OutOfFuel => format!("{line}the template takes too many steps"),
        ErrorKind::WriteFailure => "the result is larger than 512 KB".to_owned(),
        ErrorKind::UndefinedError => format!("{line}a value is missing: {error}"),
        _ => format!("{line}{error}"),
    }
}

/// A subject is one line: a line break in a value must not begin another header.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(MAX_SUBJECT).collect()
}

/// What is left of HTML without its tags, for those who read text.
fn text_of(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let (tag, behind) = after.split_once('>').unwrap_or((after, ""));
        let name = tag.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        if ["p", "br", "div", "tr", "li", "h1", "h2", "h3"].contains(&name.to_ascii_lowercase().as_str()) {
            text.push('\n');
        }
        rest = behind;
    }
    text.push_str(rest);
    let plain = ["&lt;<", "&gt;>", "&quot;\"", "&#x27;'", "&#x2f;/", "&nbsp; ", "&amp;&"]
        .iter()
        .fold(text, |text, pair| text.replace(&pair[..pair.len() - 1], &pair[pair.len() - 1..]));
    let lines: Vec<&str> = plain.lines().map(str::trim).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(value: &Value) -> Data {
        BTreeMap::from([("name".to_owned(), value.clone())])
    }

    fn problem(field: &str, [subject, text, html]: [&str; 3]) -> String {
        let problems = render(subject, text, html, &data(&json!("x"))).expect_err("it is refused").into_vec();
        assert_eq!(problems[0].field, field, "{problems:?}");
        problems[0].message.clone()
    }

    #[test]
    fn values_are_filled_in_and_escaped_where_they_must_be() {
        let values = data(&json!("<b>A & \"B\"</b>\r\nBcc: all@example.com"));
        let rendered = render("To {{ name }}", "Dear {{ name }}", "<p>Dear {{ name }}</p>", &values).unwrap();
        assert_eq!(rendered.subject, "To <b>A & \"B\"</b> Bcc: all@example.com");
        assert!(rendered.text.contains("<b>A & \"B\"</b>"));
        assert!(rendered.html.starts_with("<p>Dear &lt;b&gt;A &amp; &quot;B&quot;"), "{}", rendered.html);
        let rendered = render("s", "", "<h1>Hi</h1><p>{{ name }}</p>", &data(&json!("<&>"))).unwrap();
        assert_eq!(rendered.text, "Hi\n\n<&>");
    }

    #[test]
    fn what_goes_too_far_is_refused_with_its_place() {
        assert!(problem("subject", ["{{ nobody }}", "t", ""]).contains("missing"));
        assert!(problem("html", ["s", "t", "<p>\n{% if %}</p>"]).contains("line 2"));
        assert!(
            problem("text", ["s", "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}", ""])
                .contains("too many steps")
        );
        let large = format!("{}{{% for i in range(1000) %}}{}{{% endfor %}}", "", "y".repeat(2_000));
        assert!(problem("text", ["s", &large, ""]).contains("larger than"));
        assert!(problem("html", ["s", "t", "{% include 'secret' %}"]).len() > 5);
    }
}
