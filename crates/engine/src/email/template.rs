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
/// Deepest sample value. Deeper ones are not invented: whoever uses them gives them.
const MAX_DEPTH: usize = 8;

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

/// The values, and for each that the words use and nobody gave its own name in brackets.
pub(super) fn with_samples(words: [&str; 3], data: &Data) -> Data {
    let environment = Environment::new();
    let known: Vec<&str> = environment.globals().map(|(name, _)| name).collect();
    let mut filled = data.clone();
    for template in words.into_iter().filter_map(|words| environment.template_from_str(words).ok()) {
        // Longer paths first: `candidate.name` makes `candidate`, which then is there.
        let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
        names.sort_unstable_by_key(|name| std::cmp::Reverse(name.matches('.').count()));
        for name in names {
            let mut parts = name.split('.');
            let first = parts.next().unwrap_or_default();
            let rest: Vec<&str> = parts.collect();
            if !known.contains(&first) && rest.len() <= MAX_DEPTH {
                set_sample(filled.entry(first.to_owned()).or_insert(Value::Null), &rest, &name);
            }
        }
    }
    filled
}

/// Puts a sample where nothing stands yet.
fn set_sample(place: &mut Value, path: &[&str], name: &str) {
    match (place, path) {
        (place @ Value::Null, []) => *place = Value::String(format!("[{name}]")),
        (place @ Value::Null, [first, rest @ ..]) => {
            let mut inner = Value::Null;
            set_sample(&mut inner, rest, name);
            *place = Value::Object([((*first).to_owned(), inner)].into_iter().collect());
        }
        (Value::Object(members), [first, rest @ ..]) => {
            set_sample(members.entry((*first).to_owned()).or_insert(Value::Null), rest, name);
        }
        _ => {}
    }
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
    fn what_nobody_gave_is_shown_by_its_name() {
        let words =
            ["{{ name }} {{ range(2) }}", "{{ job.title }} {{ job.place.city }} {% set x = 1 %}{{ x }}", "{% if %}"];
        let filled = with_samples(words, &data(&json!("Ada")));
        let expected = json!({"name": "Ada", "job": {"title": "[job.title]", "place": {"city": "[job.place.city]"}}});
        assert_eq!(serde_json::to_value(filled).unwrap(), expected);
        let given = BTreeMap::from([("job".to_owned(), json!("Nurse"))]);
        assert_eq!(with_samples(["{{ job.title }}", "", ""], &given), given, "what was given stays");
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
