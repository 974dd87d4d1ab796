//! What we send is verified by others: the published libraries of Standard Webhooks for Rust, Python and
//! JavaScript, those of Svix for the latter two, and a plain HMAC for the header of our own.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    harness::{App, text},
    on_each_database,
    receiver::{Hit, Receiver},
};

on_each_database!(every_delivery_verifies);

async fn every_delivery_verifies(app: &App) {
    let mut receiver = Receiver::start().await;
    let created = app.webhook(&receiver.url, json!({"headers": [{"name": "X-Extra", "value": "1"}]})).await;
    let first = text(&created["secret"]);
    let mut cases = Vec::new();
    for data in [
        json!({}),
        json!({"text": "ü \u{1f600} \" \\ </script>"}),
        json!([1.5, null, {"deep": [[]]}]),
        json!("x".repeat(100_000)),
    ] {
        app.publish("job.created", data).await;
        cases.push(case(&receiver.hit().await, &[&first], &first));
    }
    // A failed try and its replay.
    receiver.script(&[400]);
    app.publish("job.updated", json!({"n": 1})).await;
    cases.push(case(&receiver.hit().await, &[&first], &first));
    let mut dead = app.get("/api/v1/deliveries?status=dead_letter").expect(200).await;
    while dead["data"].as_array().is_none_or(Vec::is_empty) {
        dead = app.get("/api/v1/deliveries?status=dead_letter").expect(200).await;
    }
    let id = text(&dead["data"][0]["id"]);
    app.post(format!("/api/v1/deliveries/{id}/replay"), json!({})).expect(202).await;
    cases.push(case(&receiver.hit().await, &[&first], &first));
    // During the overlap of a rotation both secrets verify; the new one signs the body.
    let webhook = text(&created["id"]);
    let rotated =
        app.post(format!("/api/v1/webhooks/{webhook}/secret/rotate"), json!({"overlap_hours": 1})).expect(200).await;
    let second = text(&rotated["secret"]);
    app.post(format!("/api/v1/webhooks/{webhook}/test"), json!({"event": "job.closed"})).expect(200).await;
    cases.push(case(&receiver.hit().await, &[&first, &second], &second));

    for case in &cases {
        verify_in_rust(case);
    }
    let python = wanted("SIGNALBOX_TEST_PYTHON");
    let modules = wanted("SIGNALBOX_TEST_NODE_MODULES");
    verify(Command::new(python).arg("-c").arg(include_str!("verify.py")), &cases);
    let mut node = Command::new("node");
    node.args(["--input-type=commonjs", "-e", include_str!("verify.js")]).env("NODE_PATH", modules);
    verify(&mut node, &cases);
}

fn wanted(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run `make test`"))
}

fn case(hit: &Hit, secrets: &[&str], body_secret: &str) -> Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "x-intime-signature"];
    let headers: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), hit.header(name).into())).collect();
    let body = std::str::from_utf8(&hit.body).unwrap();
    json!({"headers": headers, "body": body, "secrets": secrets, "body_secret": body_secret})
}

fn verify_in_rust(case: &Value) {
    let mut headers = http::HeaderMap::new();
    for (name, value) in case["headers"].as_object().unwrap() {
        headers.insert(http::HeaderName::try_from(name).unwrap(), value.as_str().unwrap().parse().unwrap());
    }
    let body = case["body"].as_str().unwrap();
    for secret in case["secrets"].as_array().unwrap() {
        let secret = secret.as_str().unwrap();
        let standard = standardwebhooks::Webhook::new(secret).unwrap();
        standard.verify(body.as_bytes(), &headers).unwrap();
        assert!(standard.verify(format!("{body} ").as_bytes(), &headers).is_err());
    }
}

fn verify(command: &mut Command, cases: &[Value]) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(serde_json::to_string(cases).unwrap().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{} refused a delivery", command.get_program().display());
    let expected = format!("{} verified", cases.len());
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), expected);
}
