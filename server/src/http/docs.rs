//! The OpenAPI document as a page to read: rendered on the server, without scripts, without anything from elsewhere.

use std::fmt::Write as _;

use axum::{
    http::{
        HeaderValue,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::Value;
use utoipa::openapi::OpenApi;

/// The page's style sheet.
pub const STYLE: &str = include_str!("docs.css");

/// The page.
pub fn page(document: &OpenApi, public_url: &str) -> Bytes {
    let document = serde_json::to_value(document).expect("the document has only texts, lists and maps");
    let mut page = Page { document: &document, public_url, html: String::new() };
    page.write();
    Bytes::from(page.html)
}

/// The page as an answer.
pub fn answer(page: Bytes) -> Response {
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    (headers, page).into_response()
}

struct Page<'a> {
    document: &'a Value,
    public_url: &'a str,
    html: String,
}

struct Operation<'a> {
    method: String,
    path: &'a str,
    value: &'a Value,
}

/// Writes into the page; a `String` takes everything.
macro_rules! put {
    ($page:expr, $($text:tt)*) => { write!($page.html, $($text)*).expect("a String takes it") };
}

impl<'a> Page<'a> {
    fn write(&mut self) {
        let document = self.document;
        let info = &document["info"];
        let title = escape(text(info, "title"));
        put!(
            self,
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\"><title>{title}</title>\
             <link rel=\"icon\" type=\"image/svg+xml\" href=\"/favicon.svg\">\
             <link rel=\"stylesheet\" href=\"/api/docs.css\"></head><body><nav aria-label=\"Operations\">\
             <a href=\"/\">Back to Signalbox</a>"
        );
        let tags = document["tags"].as_array().map_or(&[][..], Vec::as_slice);
        for tag in tags {
            put!(self, "<p class=\"group\">{}</p><ul>", escape(text(tag, "name")));
            for Operation { value, .. } in self.operations(text(tag, "name")) {
                put!(
                    self,
                    "<li><a href=\"#{}\">{}</a></li>",
                    text(value, "operationId"),
                    escape(text(value, "summary"))
                );
            }
            put!(self, "</ul>");
        }
        put!(
            self,
            "<p class=\"group\">Reference</p><ul><li><a href=\"#schemas\">Schemas</a></li></ul></nav><main><h1>{title}</h1>"
        );
        put!(
            self,
            "<p class=\"quiet\">Version {}. For machines: <a href=\"/api/openapi.json\">openapi.json</a></p>{}",
            escape(text(info, "version")),
            prose(text(info, "description"))
        );
        for tag in tags {
            put!(self, "<section><h2>{}</h2>{}", escape(text(tag, "name")), prose(text(tag, "description")));
            for operation in self.operations(text(tag, "name")) {
                self.operation(&operation);
            }
            put!(self, "</section>");
        }
        put!(self, "<section><h2 id=\"schemas\">Schemas</h2>");
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            put!(self, "<article id=\"schema-{0}\"><h3>{0}</h3>{1}", escape(name), prose(text(schema, "description")));
            if self.fields(schema).is_empty() {
                put!(self, "<p>{}</p>", type_of(schema));
            } else {
                self.table(schema);
            }
            put!(self, "</article>");
        }
        put!(self, "</section></main></body></html>");
    }

    fn operations(&self, tag: &str) -> Vec<Operation<'a>> {
        let mut found = Vec::new();
        for (path, item) in self.document["paths"].as_object().into_iter().flatten() {
            for (method, value) in item.as_object().into_iter().flatten() {
                if value["tags"][0] == tag {
                    found.push(Operation { method: method.to_uppercase(), path, value });
                }
            }
        }
        found
    }

    fn operation(&mut self, Operation { method, path, value }: &Operation<'a>) {
        put!(
            self,
            "<article id=\"{}\"><h3>{}</h3><p class=\"path\"><code><span class=\"method\">{method}</span>{}</code></p>{}",
            text(value, "operationId"),
            escape(text(value, "summary")),
            escape(path),
            prose(text(value, "description"))
        );
        if let Some(parameters) = value["parameters"].as_array() {
            put!(
                self,
                "<h4>Parameters</h4><table><thead><tr><th>Name</th><th>In</th><th>Type</th><th>Meaning</th></tr></thead>\
                 <tbody>"
            );
            for parameter in parameters {
                put!(
                    self,
                    "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                    escape(text(parameter, "name")),
                    escape(text(parameter, "in")),
                    type_of(&parameter["schema"]),
                    inline(text(parameter, "description"))
                );
            }
            put!(self, "</tbody></table>");
        }
        let body = &value["requestBody"]["content"]["application/json"];
        if body.is_object() {
            put!(self, "<h4>Body: {}</h4>", type_of(&body["schema"]));
            self.table(&body["schema"]);
        }
        put!(self, "<h4>Answers</h4>");
        for (status, response) in value["responses"].as_object().into_iter().flatten() {
            let response = self.resolve(response);
            let schema = &response["content"]["application/json"]["schema"];
            put!(self, "<p><code>{}</code> {}", escape(status), inline(text(response, "description")));
            if schema.is_object() {
                put!(self, ": {}", type_of(schema));
            }
            put!(self, "</p>");
            if schema.is_object() {
                self.table(schema);
            }
        }
        put!(
            self,
            "<h4>Try it</h4><pre tabindex=\"0\"><code>{}</code></pre></article>",
            escape(&self.curl(method, path, body))
        );
    }

    fn curl(&self, method: &str, path: &str, body: &Value) -> String {
        let option = if method == "GET" { String::new() } else { format!("-X {method} ") };
        let mut command =
            format!("curl {option}{}{path} \\\n  -H \"Authorization: Bearer $SIGNALBOX_API_KEY\"", self.public_url);
        if body.is_object() {
            let example = serde_json::to_string(&body["example"]).unwrap_or_default();
            let example = example.replace('\'', "'\\''");
            write!(command, " \\\n  -H 'Content-Type: application/json' \\\n  -d '{example}'")
                .expect("a String takes it");
        }
        command
    }

    /// A table of an object's fields; nothing for what is not an object.
    fn table(&mut self, schema: &'a Value) {
        let fields = self.fields(schema);
        if fields.is_empty() {
            return;
        }
        put!(self, "<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>");
        for (name, schema, required) in fields {
            let described = Some(text(schema, "description")).filter(|text| !text.is_empty());
            let meaning = described.unwrap_or_else(|| text(self.resolve(schema), "description"));
            let meaning = meaning.split("\n\n").next().unwrap_or_default();
            put!(
                self,
                "<tr><td><code>{}</code></td><td>{}{}</td><td>{}</td></tr>",
                escape(name),
                type_of(schema),
                if required { "" } else { " <span class=\"quiet\">optional</span>" },
                inline(meaning)
            );
        }
        put!(self, "</tbody></table>");
    }

    /// An object's fields: name, schema, whether it is always there.
    fn fields(&self, schema: &'a Value) -> Vec<(&'a str, &'a Value, bool)> {
        let schema = self.resolve(schema);
        let parts = schema["allOf"].as_array().into_iter().flatten();
        let mut fields: Vec<_> = parts.flat_map(|part| self.fields(part)).collect();
        // An optional body is null or the object.
        for choice in schema["oneOf"].as_array().into_iter().flatten() {
            if choice["$ref"].is_string() {
                fields.extend(self.fields(choice));
            }
        }
        let required =
            |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|other| other == name));
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            fields.push((name.as_str(), field, required(name)));
        }
        fields
    }

    fn resolve(&self, value: &'a Value) -> &'a Value {
        let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.document.pointer(pointer)).unwrap_or(value)
    }
}

/// A type in a few words, as HTML.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escape(name));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> =
            values.iter().map(|value| format!("<code>{}</code>", escape(&value.to_string()))).collect();
        return values.join(" or ");
    }
    for combined in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[combined].as_array() {
            let joint = if combined == "allOf" { " and " } else { " or " };
            return choices.iter().map(type_of).collect::<Vec<_>>().join(joint);
        }
    }
    if schema["type"] == "array" {
        return format!("list of {}", type_of(&schema["items"]));
    }
    match &schema["type"] {
        Value::String(name) => escape(name),
        Value::Array(names) => {
            let words = names.iter().filter_map(Value::as_str).map(|name| match name {
                "array" => format!("list of {}", type_of(&schema["items"])),
                name => escape(name),
            });
            words.collect::<Vec<_>>().join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A text inside of HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Paragraphs of a description.
fn prose(text: &str) -> String {
    text.split("\n\n").filter(|part| !part.trim().is_empty()).fold(String::new(), |mut html, part| {
        write!(html, "<p>{}</p>", inline(part.trim())).expect("a String takes it");
        html
    })
}

/// Escapes a text and shows what stands in backticks as code and between double asterisks as strong.
fn inline(text: &str) -> String {
    let mark = |text: &str, mark: &str, tag: &str| {
        let mut html = String::new();
        for (index, part) in text.split(mark).enumerate() {
            let _ = if index % 2 == 0 { write!(html, "{part}") } else { write!(html, "<{tag}>{part}</{tag}>") };
        }
        html
    };
    mark(&mark(&escape(text), "`", "code"), "**", "strong")
}
