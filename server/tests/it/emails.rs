//! E-mails over HTTP, through a real mail server: templates, what becomes of them, who does not want any.

use http::Method;
use serde_json::{Value, json};

use crate::{
    database::Database,
    harness::{App, client, rows, text},
    mail::MailServer,
    on_each_database,
    process::Process,
};

on_each_database!(
    a_template_is_sent,
    what_is_refused_is_told,
    a_key_sends_once,
    what_became_of_it,
    a_mail_servers_report_is_heard,
    unsubscribing_takes_one_click,
    providers_report,
    html_is_shown_in_a_frame_that_may_nothing,
    a_spent_limit_puts_off,
);

async fn integration(app: &App, server: &MailServer, provider: &str, secrets: Value) -> String {
    text(&app.post("/api/v1/integrations", server.integration(provider, &secrets)).expect(201).await["id"])
}

pub(crate) async fn sent(app: &App, draft: Value) -> Value {
    app.post("/api/v1/emails", draft).expect(202).await
}

/// A short e-mail to an address.
pub(crate) fn note(to: &str) -> Value {
    json!({"to": to, "subject": "Note", "text": "A note"})
}

/// Waits until an e-mail is in one of these states.
pub(crate) async fn until(app: &App, email: &Value, states: &[&str]) -> Value {
    let path = format!("/api/v1/emails/{}", text(&email["id"]));
    let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
    loop {
        let shown = app.get(&path).expect(200).await;
        if states.contains(&shown["state"].as_str().unwrap()) {
            return shown;
        }
        assert!(tokio::time::Instant::now() < deadline, "{shown}");
        tokio::task::yield_now().await;
    }
}

async fn a_template_is_sent(app: &App) {
    let mut server = MailServer::start().await;
    let id = integration(app, &server, "smtp", json!({})).await;
    let template = json!({
        "name": "interview", "subject": "Interview on {{ at }}", "category": "interviews",
        "text": "Dear {{ name }}", "html": "<p>Dear {{ name }}</p>",
    });
    let preview = json!({"draft": template, "data": {"at": "Monday", "name": "<Ada>"}});
    let preview = app.post("/api/v1/email-templates/preview", preview).expect(200).await;
    assert_eq!(preview["html"], "<p>Dear &lt;Ada&gt;</p>");
    let unfilled = json!({"draft": template, "data": {"name": "Ada"}, "samples": true});
    let unfilled = app.post("/api/v1/email-templates/preview", unfilled).expect(200).await;
    assert_eq!((&unfilled["subject"], &unfilled["text"]), (&json!("Interview on [at]"), &json!("Dear Ada")));
    let made = app.post("/api/v1/email-templates", template.clone()).expect(201).await;
    app.post("/api/v1/email-templates", template).refused(422).await;

    let key = app.key("emails:send").await;
    let draft = json!({"to": "Ada@Example.com", "template": "interview", "data": {"at": "Monday", "name": "<Ada>"}});
    let email = app.ask(Method::POST, "/api/v1/emails").key(&key).json(draft).expect(202).await;
    assert_eq!((&email["to"], &email["template"]), (&json!("ada@example.com"), &json!("interview")));
    let message = server.message().await;
    let words = text(&message["text"]);
    assert_eq!((&message["to"], &message["user"]), (&json!(["ada@example.com"]), &json!("apikey")));
    assert!(words.contains("Subject: Interview on Monday\r\n") && words.contains("<p>Dear &lt;Ada&gt;</p>"), "{words}");
    assert!(words.contains(&format!("Message-ID: <{}@example.com>", text(&email["id"]))), "{words}");
    assert!(words.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{words}");
    let shown = until(app, &email, &["sent"]).await;
    assert_eq!(
        (&shown["tries"], &shown["detail"].as_str().map(|text| text.contains("Taken as"))),
        (&json!(1), &Some(true))
    );
    assert_eq!((&shown["content"]["text"], &shown["integration_id"]), (&json!("Dear <Ada>"), &json!(id)));
    let steps = shown["steps"].as_array().unwrap();
    assert_eq!((steps.len(), &steps[0]["kind"], &steps[0]["detail"]), (1, &json!("sent"), &shown["detail"]));
    let usage = app.get(format!("/api/v1/integrations/{id}/usage")).expect(200).await;
    assert_eq!(usage, json!({"hour": 1, "hour_limit": 1_000, "day": 1, "day_limit": 25_000}));
    let logs = app.get(format!("/api/v1/integrations/{id}/logs?q=interview")).expect(200).await;
    assert_eq!(rows(&logs)[0]["message"], "Email sent successfully", "{logs}");

    // Who may send may not therefore read, and the other way round.
    app.ask(Method::GET, "/api/v1/emails").key(&key).refused(403).await;
    let reader = app.key("integrations:read").await;
    app.ask(Method::POST, "/api/v1/emails").key(&reader).json(note("a@example.com")).refused(403).await;
    assert_eq!(
        rows(&app.ask(Method::GET, "/api/v1/emails?state=sent&to=ADA@example.com").key(&reader).expect(200).await)
            .len(),
        1
    );
    let foreign = app.foreign_key().await;
    app.ask(Method::GET, format!("/api/v1/emails/{}", text(&email["id"]))).key(&foreign).refused(404).await;
    app.ask(Method::DELETE, format!("/api/v1/email-templates/{}", text(&made["id"]))).key(&foreign).refused(404).await;
    app.delete(format!("/api/v1/email-templates/{}", text(&made["id"]))).expect(204).await;
    assert_eq!(until(app, &email, &["sent"]).await["content"]["text"], "Dear <Ada>", "it keeps its words");
}

async fn what_is_refused_is_told(app: &App) {
    for (draft, field) in [
        (json!({}), "to"),
        (note("nobody"), "to"),
        (note("a@example.com\r\nBcc: b@example.com"), "to"),
        (json!({"to": "a@example.com"}), "subject"),
        (json!({"to": "a@example.com", "subject": "s"}), "text"),
        (json!({"to": "a@example.com", "template": "nothing"}), "template"),
        (json!({"to": "a@example.com", "subject": "{{ missing }}", "text": "t"}), "subject"),
        (json!({"to": "a@example.com", "subject": "s", "text": "{% for %}"}), "text"),
        (json!({"to": "a@example.com", "subject": "s", "text": "t", "category": "No!"}), "category"),
    ] {
        let error = app.post("/api/v1/emails", draft).refused(422).await;
        assert_eq!(error.errors[0].field, field, "{error:?}");
    }
    assert!(rows(&app.get("/api/v1/emails").expect(200).await).is_empty(), "nothing was stored");
    // Without an integration it waits.
    let email = sent(app, note("a@example.com")).await;
    let shown = until(app, &email, &["deferred"]).await;
    assert_eq!(shown["detail"], "There is no active e-mail integration to send it through");
    app.get("/api/v1/emails/eml_01h455vb4pex5vsknk084sn02q").refused(404).await;
}

async fn a_key_sends_once(app: &App) {
    let mut server = MailServer::start().await;
    integration(app, &server, "smtp", json!({})).await;
    let mut draft = note("a@example.com");
    draft["idempotency_key"] = json!("welcome-1");
    let first = sent(app, draft.clone()).await;
    until(app, &first, &["sent"]).await;
    let again = sent(app, draft.clone()).await;
    assert_eq!((&again["id"], &again["state"]), (&first["id"], &json!("sent")), "the first one, as it is now");
    let by_header = || app.post("/api/v1/emails", note("a@example.com"));
    assert_eq!(by_header().header("idempotency-key", "welcome-1").expect(202).await["id"], first["id"]);
    let other = app.post("/api/v1/emails", note("b@example.com")).header("idempotency-key", "welcome-1");
    let error = other.refused(409).await;
    assert_eq!(error.detail, "This idempotency key was already used for a different e-mail.");
    app.post("/api/v1/emails", draft).header("idempotency-key", "welcome-2").refused(400).await;
    let error = app.post("/api/v1/emails", note("a@example.com")).header("idempotency-key", "").refused(422).await;
    assert_eq!(error.errors[0].field, "idempotency_key");

    let at_once = async || by_header().header("idempotency-key", "at-once").expect(202).await["id"].clone();
    let ids = tokio::join!(at_once(), at_once(), at_once(), at_once());
    assert!(ids.0 == ids.1 && ids.1 == ids.2 && ids.2 == ids.3, "{ids:?}");
    until(app, &json!({"id": ids.0}), &["sent"]).await;
    for _ in 0..2 {
        assert_eq!(server.message().await["to"], json!(["a@example.com"]));
    }
    assert_eq!(rows(&app.get("/api/v1/emails").expect(200).await).len(), 2, "nothing was stored twice");
}

async fn what_became_of_it(app: &App) {
    let mut server = MailServer::start().await;
    integration(app, &server, "smtp", json!({})).await;
    // There is nobody, and there never will be.
    let email = sent(app, note("reply-550@example.com")).await;
    let shown = until(app, &email, &["bounced"]).await;
    assert_eq!((&shown["fault"], &shown["detail"]), (&json!("rejected"), &json!("550 5.1.1 No such user here")));
    let list = app.get("/api/v1/suppressions").expect(200).await;
    assert_eq!(
        (&rows(&list)[0]["email"], &rows(&list)[0]["reason"]),
        (&json!("reply-550@example.com"), &json!("bounce"))
    );
    assert_eq!(sent(app, note("Reply-550@example.com")).await["state"], "suppressed");
    app.delete("/api/v1/suppressions/reply-550@example.com").expect(204).await;
    app.delete("/api/v1/suppressions/reply-550@example.com").refused(404).await;
    app.post("/api/v1/suppressions", json!({"email": "Left@example.com"})).expect(204).await;
    assert_eq!(sent(app, note("left@example.com")).await["state"], "suppressed");
    // Later, perhaps.
    let email = sent(app, note("reply-450@example.com")).await;
    let shown = until(app, &email, &["deferred"]).await;
    assert!(shown["next_try_at"].is_string() && shown["possibly_sent"] == false, "{shown}");
    // Not this message.
    let email = sent(app, note("data-554@example.com")).await;
    assert_eq!(until(app, &email, &["failed"]).await["next_try_at"], Value::Null);
    // The server had all of it and said nothing: it is not sent again unless that is allowed.
    let email = sent(app, note("drop@example.com")).await;
    server.message().await;
    let shown = until(app, &email, &["failed"]).await;
    assert_eq!((&shown["possibly_sent"], &shown["next_try_at"]), (&json!(true), &Value::Null), "{shown}");
    let mut allowed = note("drop@example.com");
    allowed["allow_duplicate"] = json!(true);
    let email = sent(app, allowed).await;
    let shown = until(app, &email, &["deferred"]).await;
    assert!(shown["possibly_sent"] == true && shown["next_try_at"].is_string(), "{shown}");
    // What a recipient's server says is no failing of the provider.
    let summary = app.get("/api/v1/integrations/summary").expect(200).await;
    assert_eq!(summary["errors"], 0, "{summary}");
}

async fn a_mail_servers_report_is_heard(app: &App) {
    let mut server = MailServer::start().await;
    integration(app, &server, "smtp", json!({})).await;
    let email = sent(app, note("a@example.com")).await;
    server.message().await;
    until(app, &email, &["sent"]).await;
    let report = async |to: &str, id: &str| {
        let message = format!(
            "Subject: Undelivered\r\n\r\nFinal-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n\
             Message-ID: <{id}@example.com>\r\n"
        );
        let ask = app.ask(Method::POST, "/api/v1/emails/bounces").key(crate::harness::ADMIN).body(message);
        ask.expect(200).await["heard"].clone()
    };
    let id = text(&email["id"]);
    assert_eq!(report("other@example.com", &id).await, 0, "the e-mail was not for them");
    assert_eq!(report("a@example.com", "eml_01h455vb4pex5vsknk084sn02q").await, 0, "there is no such e-mail");
    assert_eq!(report("A@example.com", &id).await, 1);
    until(app, &email, &["bounced"]).await;
    assert_eq!(sent(app, note("a@example.com")).await["state"], "suppressed");
}

async fn unsubscribing_takes_one_click(app: &App) {
    let mut server = MailServer::start().await;
    integration(app, &server, "smtp", json!({})).await;
    let digest = json!({"to": "a@example.com", "subject": "s", "text": "t", "category": "digest"});
    sent(app, digest.clone()).await;
    let words = text(&server.message().await["text"]);
    let (_, rest) = words.split_once("/unsubscribe/").expect("it says how");
    let link = format!("/unsubscribe/{}", rest.split_once('>').expect("in angle brackets").0);
    // Scanners follow links. Nothing comes of it.
    for method in [Method::GET, Method::HEAD, Method::GET, Method::HEAD] {
        let answer = app.ask(method, &link).send_raw().await;
        assert_eq!(answer.status(), 200);
    }
    let page = app.ask(Method::GET, &link).send_raw().await.text().await.unwrap();
    assert!(page.contains("<button") && page.contains("digest") && !page.contains("You are unsubscribed"), "{page}");
    let post = async |body: &'static str| {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let answer = app.ask(Method::POST, &link).header(form.0, form.1).body(body).send_raw().await;
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    assert!(post("List-Unsubscribe=One-Click").await.contains("You are unsubscribed"));
    let email = sent(app, digest.clone()).await;
    assert_eq!(
        (&email["state"], &email["detail"]),
        (&json!("suppressed"), &json!("The recipient has unsubscribed from digest"))
    );
    let news = json!({"to": "a@example.com", "subject": "s", "text": "t", "category": "news"});
    until(app, &sent(app, news.clone()).await, &["sent"]).await;
    post("choice=all").await;
    assert_eq!(sent(app, news).await["state"], "suppressed");
    until(app, &sent(app, note("a@example.com")).await, &["sent"]).await;
    post("choice=again").await;
    until(app, &sent(app, digest).await, &["sent"]).await;
    let cut = app.ask(Method::POST, &link[..link.len() - 3]).send_raw().await;
    assert_eq!(cut.status(), 404);
}

async fn providers_report(app: &App) {
    let mut server = MailServer::start().await;
    let id = integration(app, &server, "postmark", json!({"events_key": "hook:secret"})).await;
    let email = sent(app, note("a@example.com")).await;
    server.message().await;
    until(app, &email, &["sent"]).await;
    let report = |provider: &str, authorization: &str, body: Value| {
        let ask = app.ask(Method::POST, format!("/api/webhooks/{provider}/{id}"));
        ask.header("authorization", authorization).json(body)
    };
    // "hook:secret" and "hook:wrong".
    let (right, wrong) = ("Basic aG9vazpzZWNyZXQ=", "Basic aG9vazp3cm9uZw==");
    let bounce = json!({"RecordType": "Bounce", "Type": "HardBounce", "Email": "A@example.com", "Description": "Gone"});
    report("postmark", wrong, bounce.clone()).refused(401).await;
    report("mailgun", right, bounce.clone()).refused(404).await;
    report("nobody", right, bounce.clone()).refused(404).await;
    report("postmark", right, json!([])).refused(400).await;
    until(app, &email, &["sent"]).await;
    let delivery = json!({"RecordType": "Delivery", "Recipient": "a@example.com"});
    report("postmark", right, delivery).expect(204).await;
    assert!(until(app, &email, &["sent"]).await["delivered_at"].is_string());
    report("postmark", right, bounce.clone()).expect(204).await;
    report("postmark", right, bounce).expect(204).await;
    assert_eq!(until(app, &email, &["bounced"]).await["detail"], "Gone");
    assert_eq!(rows(&app.get("/api/v1/suppressions").expect(200).await).len(), 1);
    // What it says of an address that nothing was sent to changes nothing.
    let other = json!({"RecordType": "SpamComplaint", "Email": "other@example.com"});
    report("postmark", right, other).expect(204).await;
    assert_eq!(rows(&app.get("/api/v1/suppressions").expect(200).await).len(), 1);
    // Without a key to verify with, nobody is believed.
    let unkeyed = integration(app, &server, "mailgun", json!({})).await;
    let ask = app.ask(Method::POST, format!("/api/webhooks/mailgun/{unkeyed}"));
    ask.json(json!({"signature": {"timestamp": "1", "token": "t", "signature": ""}})).refused(401).await;
}

async fn html_is_shown_in_a_frame_that_may_nothing(app: &App) {
    let words = json!({"to": "a@example.com", "subject": "s", "html": "<script>evil()</script><h1>Hi</h1>"});
    let path = format!("/_ui/emails/{}/html", text(&sent(app, words).await["id"]));
    let answer = app.ask(Method::GET, &path).key(crate::harness::ADMIN).send().await;
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("sandbox; default-src 'none';") && policy.ends_with("frame-ancestors 'self'"),
        "{policy}"
    );
    assert_eq!((answer.header("x-frame-options"), answer.header("cache-control")), ("SAMEORIGIN", "no-store"));
    assert!(answer.body.contains("<h1>Hi</h1>"));
    app.ask(Method::GET, &path).refused(401).await;
    app.ask(Method::GET, &path).key(&app.foreign_key().await).refused(404).await;

    let post = async |form: &'static str| {
        let ask = app.ask(Method::POST, "/_ui/email-templates/html").key(crate::harness::ADMIN);
        ask.header("content-type", "application/x-www-form-urlencoded").body(form).send().await
    };
    let shown = post("html=%3Cp%3E%7B%7B+name+%7D%7D+%7B%7B+at+%7D%7D&data=%7B%22name%22%3A%22%3CAda%3E%22%7D").await;
    assert_eq!((shown.status.as_u16(), &*shown.body), (200, "<p>&lt;Ada&gt; [at]"));
    assert_eq!(shown.header("content-security-policy"), policy);
    assert_eq!(post("html=%7B%25+if").await.status, 204, "the frame keeps what it shows");
}

/// A limit that is spent is no failure: what is over it waits, and a test is told how long.
async fn a_spent_limit_puts_off(app: &App) {
    let mut server = MailServer::start().await;
    let mut draft = server.integration("smtp", &json!({}));
    draft["config"]["rate_limit_hour"] = json!(100);
    let id = text(&app.post("/api/v1/integrations", draft).expect(201).await["id"]);
    // The hour may end while this runs; then there is room again. The limit of the hour that ended was kept none the less.
    let hour = || domain::Timestamp::from_millis(app.server.engine.now().millis().div_euclid(3_600_000) * 3_600_000);
    let began = hour();
    for number in 0..100 {
        sent(app, note(&format!("r{number}@example.com"))).await;
    }
    for _ in 0..100 {
        server.message().await;
    }
    let usage = app.get(format!("/api/v1/integrations/{id}/usage")).expect(200).await;
    let over = sent(app, note("over@example.com")).await;
    if hour() != began {
        return;
    }
    assert_eq!((&usage["hour"], &usage["hour_limit"]), (&json!(100), &json!(100)));
    let path = format!("/api/v1/emails/{}", text(&over["id"]));
    let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
    let waiting = loop {
        let shown = app.get(&path).expect(200).await;
        if shown["fault"] == "rate_limited" {
            break shown;
        }
        assert!(tokio::time::Instant::now() < deadline, "{shown}");
        tokio::task::yield_now().await;
    };
    let told = |words: &Value| {
        let seconds = words.as_str().unwrap().strip_prefix("Rate limit exceeded. Retry in ").unwrap();
        seconds.strip_suffix(" seconds.").unwrap().parse::<u32>().unwrap()
    };
    assert!((1..=3_600).contains(&told(&waiting["detail"])));
    let next = domain::Timestamp::from_millis(began.millis() + 3_600_000);
    assert_eq!(
        (&waiting["state"], &waiting["tries"], &waiting["next_try_at"]),
        (&json!("deferred"), &json!(0), &json!(next.to_string()))
    );
    assert_eq!(waiting["steps"], json!([]), "it was not tried");
    let test = app.post(format!("/api/v1/integrations/{id}/test-email"), json!({"to": "us@example.com"}));
    let test = test.expect(200).await;
    assert_eq!((&test["ok"], &test["fault"]), (&json!(false), &json!("rate_limited")));
    assert!((1..=3_600).contains(&told(&test["message"])), "{test}");
    assert_eq!(app.get(format!("/api/v1/integrations/{id}")).expect(200).await["health"], "healthy");
}

/// The process is killed while the mail server has the whole message and says nothing: whether it arrived is not known. It is
/// sent again only if whoever wrote it allows that, and is marked.
async fn killed_while_it_was_handed_over(database: &Database) {
    let mut server = MailServer::start().await;
    let mut process = Process::serve(database).await;
    let client = client();
    let ask = async |process: &Process, method: Method, path: &str, body: Option<&Value>| {
        let request = client.request(method, format!("{}{path}", process.url)).bearer_auth(crate::harness::ADMIN);
        let request = if let Some(body) = body { request.json(body) } else { request };
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json::<Value>().await.unwrap()
    };
    let draft = server.integration("smtp", &json!({}));
    ask(&process, Method::POST, "/api/v1/integrations", Some(&draft)).await;
    let once = ask(&process, Method::POST, "/api/v1/emails", Some(&note("hang+once@example.com"))).await;
    let mut allowed = note("hang+again@example.com");
    allowed["allow_duplicate"] = json!(true);
    let again = ask(&process, Method::POST, "/api/v1/emails", Some(&allowed)).await;
    for _ in 0..2 {
        server.message().await;
    }
    process.signal("KILL").await;
    process.child.wait().await.unwrap();

    let process = Process::serve(database).await;
    let repeated = server.message().await;
    assert_eq!(repeated["to"], json!(["hang+again@example.com"]), "the other one is not sent again");
    let words = text(&repeated["text"]);
    assert!(words.contains(&format!("Message-ID: <{}@example.com>", text(&again["id"]))), "under the same id: {words}");
    let shown = ask(&process, Method::GET, &format!("/api/v1/emails/{}", text(&again["id"])), None).await;
    assert_eq!((&shown["possibly_duplicated"], &shown["tries"]), (&json!(true), &json!(2)), "{shown}");
    let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
    loop {
        let shown = ask(&process, Method::GET, &format!("/api/v1/emails/{}", text(&once["id"])), None).await;
        if shown["state"] == "failed" {
            assert_eq!((&shown["possibly_sent"], &shown["next_try_at"]), (&json!(true), &Value::Null), "{shown}");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{shown}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_was_handed_over_sqlite() {
    killed_while_it_was_handed_over(&Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_was_handed_over_postgres() {
    killed_while_it_was_handed_over(&Database::postgres()).await;
}
