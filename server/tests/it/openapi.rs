//! The description of the API: it is complete, it is the one that is checked in, and it can be read.

use std::{collections::HashSet, fs, path::Path};

use http::Method;
use serde_json::Value;

use crate::{database::Database, harness::App};

#[test]
fn openapi_is_the_one_that_is_checked_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let document = server::http::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &document).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        document == checked_in,
        "the API changed. Look at what changed: UPDATE_SNAPSHOTS=1 cargo test -p server openapi; git diff server/openapi.json"
    );
}

#[test]
fn openapi_is_complete() {
    let document = serde_json::to_value(server::http::document()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}: the id is not unique");
            assert!(operation["summary"].is_string(), "{name}");
            assert!(operation["description"].as_str().unwrap().contains("Who may: "), "{name}");
            let described = operation["responses"].as_object().unwrap();
            assert!(described.keys().any(|status| status.starts_with('2')) && described.contains_key("401"), "{name}");
            for parameter in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(parameters.iter().any(|described| described["name"] == parameter), "{name}: {parameter}");
            }
        }
    }
    let mut references = Vec::new();
    collect(&document, &mut references);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn openapi_is_in_the_manual() {
    let manual = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/API.md")).unwrap();
    let document = serde_json::to_value(server::http::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let line = format!("| `{} {path}` |", method.to_uppercase());
            assert!(manual.contains(&line), "docs/API.md has no row {line}");
        }
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn openapi_is_served_and_can_be_read() {
    let app = App::start(Database::sqlite()).await;
    let served = app.ask(Method::GET, "/api/openapi.json").expect(200).await;
    assert_eq!(served, serde_json::to_value(server::http::document()).unwrap());
    let page = app.ask(Method::GET, "/api/docs").send().await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("style-src 'self'"));
    for item in served["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.body.contains(&format!("<article id=\"{id}\">")), "{id} is not on the page");
        }
    }
    assert!(page.body.contains(&format!("curl -X POST {}/api/v1/events", app.url)));
    assert!(
        !page.body.contains("<script") && !page.body.contains("src=\"http"),
        "it works offline and without scripts"
    );
    let style = app.ask(Method::GET, "/api/docs.css").send().await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    app.end().await;
}
