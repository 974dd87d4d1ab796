//! Connections by OAuth 2.0, with a real authorization server: an account consents, its access is kept alive, used and ended.

use domain::Role;
use http::Method;
use serde_json::{Value, json};

use crate::{
    harness::{App, rows, text},
    oauth_server::{Browser, OauthServer, Shown},
    on_each_database,
};

on_each_database!(
    an_account_is_connected,
    what_a_browser_brings_back_must_be_its_own,
    what_providers_refuse_is_explained,
    a_link_lets_a_colleague_connect,
    tokens_are_refreshed_once,
    failures_leave_what_works,
    a_lost_answer_is_called_so,
    answers_that_are_none_spend_the_token,
    disconnecting_ends_the_access,
    secrets_stay_inside,
);

/// Begins to connect as an admin, and gives the browser on the provider's page.
async fn begin(app: &App, id: &str, session: &str, body: Value) -> Browser {
    let asked = app
        .ask(Method::POST, format!("/api/v1/integrations/{id}/oauth/authorize"))
        .header("cookie", session)
        .header("sec-fetch-site", "same-origin")
        .json(body);
    let reply = asked.send().await;
    let mut browser = Browser::with_cookies(app, session);
    browser.keep(app, reply.header("set-cookie"));
    assert!(reply.header("set-cookie").contains("; HttpOnly; SameSite=Lax;"));
    let url = text(&reply.expect(200)["authorization_url"]);
    assert!(url.contains("code_challenge_method=S256") && url.contains("state="), "{url}");
    browser.open(Method::GET, &url, None).await;
    browser
}

async fn connection(app: &App, id: &str) -> Value {
    app.get(format!("/api/v1/integrations/{id}/oauth")).expect(200).await
}

async fn token(app: &App, id: &str) -> Value {
    app.post(format!("/api/v1/connections/{id}/token"), json!({})).expect(200).await
}

async fn an_account_is_connected(app: &App) {
    let mut provider = OauthServer::start(&app.url, json!({})).await;
    let id = provider.integration(app).await;
    let before = connection(app, &id).await;
    assert_eq!(before["status"], "not_connected");
    assert_eq!(before["redirect_uri"], format!("{}/oauth/callback/custom_oauth", app.url));
    let path = format!("/api/v1/connections/{id}/token");
    let error = app.post(&path, json!({})).refused(409).await;
    assert_eq!(error.detail, "Please connect your Custom OAuth 2.0 account first.");

    let session = app.sign_in(Role::Admin).await;
    let mut browser = begin(app, &id, &session, json!({})).await;
    browser.stops_before_callback = true;
    let back = browser.consent(&[]).await.url;
    browser.stops_before_callback = false;
    let reply = app.ask(Method::GET, back.strip_prefix(&app.url).unwrap()).header("cookie", &session).send().await;
    assert_eq!(reply.status, 400, "without the browser's own cookie: {}", reply.body);

    // What came back is spent by that. Once more, all the way.
    let mut browser = begin(app, &id, &session, json!({})).await;
    let page = browser.consent(&[]).await;
    assert!(page.url.contains(&format!("/integrations/{id}?tab=connection")), "{} {}", page.url, page.body);
    let connected = connection(app, &id).await;
    assert_eq!(connected["status"], "connected", "{connected}");
    assert_eq!(connected["account"], "john@company.com");
    assert_eq!(connected["auto_refresh"], true);
    assert!(connected["connected_by"].as_str().unwrap().contains("admin@example.com"));
    let granted = connected["granted_scopes"].as_array().unwrap();
    assert!(granted.contains(&json!("calendar.read")), "{granted:?}");
    assert_eq!(provider.tokens().await.len(), 1);

    // Used: the health check is a real call, the calendars are the account's, a program gets a token.
    let check = app.post(format!("/api/v1/integrations/{id}/health-check"), json!({})).expect(200).await;
    assert_eq!(check["ok"], true, "{check}");
    assert_eq!(check["detail"], "Connected as john@company.com");
    let calendars = app.get(format!("/api/v1/integrations/{id}/oauth/calendars")).expect(200).await;
    assert_eq!(rows(&calendars)[1], json!({"id": "team", "name": "Interviews"}));
    let sync = json!({"auto_sync": true, "calendar": "team"});
    let set = app.put(format!("/api/v1/integrations/{id}/oauth/sync"), sync.clone()).expect(200).await;
    assert_eq!(set["sync"], sync);
    let key = app.key("connections:token").await;
    let given = app.ask(Method::POST, &path).key(&key).expect(200).await;
    assert_eq!(given["token_type"], "Bearer");
    let me = app.client.get(format!("{}/me", provider.url)).bearer_auth(text(&given["access_token"]));
    assert_eq!(me.send().await.unwrap().status(), 200);
    app.ask(Method::GET, format!("/api/v1/integrations/{id}")).key(&key).refused(403).await;

    // Reconnecting keeps the integration, its settings, and what is done with the account.
    let mut browser = begin(app, &id, &session, json!({"scopes": ["calendar.write"]})).await;
    browser.consent(&[("withhold", "calendar.write")]).await;
    let again = connection(app, &id).await;
    assert_eq!((&again["status"], &again["sync"]), (&json!("connected"), &sync));
    let marks = again["permissions"].as_array().unwrap();
    let write = marks.iter().find(|mark| mark["scope"] == "calendar.write").unwrap();
    assert_eq!((&write["is_requested"], &write["is_granted"]), (&json!(true), &json!(false)));
    let read = marks.iter().find(|mark| mark["scope"] == "calendar.read").unwrap();
    assert_eq!(read["is_granted"], true);

    let audit = app.get("/api/v1/audit?limit=100").expect(200).await;
    let actions: Vec<_> = rows(&audit).iter().map(|entry| text(&entry["action"])).collect();
    for action in ["connection.connected", "connection.token", "connection.sync"] {
        assert!(actions.iter().any(|known| known == action), "{action}: {actions:?}");
    }
}

async fn what_a_browser_brings_back_must_be_its_own(app: &App) {
    let provider = OauthServer::start(&app.url, json!({})).await;
    let id = provider.integration(app).await;
    let session = app.sign_in(Role::Admin).await;
    let owner = app.sign_in(Role::Owner).await;
    let come_back = async |cookies: &str, url: &str| -> Shown {
        Browser::with_cookies(app, cookies).open(Method::GET, url, None).await
    };
    let mut browser = begin(app, &id, &session, json!({})).await;
    browser.stops_before_callback = true;
    let back = browser.consent(&[]).await.url;

    browser.stops_before_callback = false;
    let first = browser.open(Method::GET, &back, None).await;
    assert!(first.url.contains("tab=connection"), "{}", first.body);
    let again = browser.open(Method::GET, &back, None).await;
    assert_eq!(again.status, 400);
    assert!(again.body.contains("This sign-in was used already, or never began here."), "{}", again.body);

    let mut browser = begin(app, &id, &session, json!({})).await;
    browser.stops_before_callback = true;
    let back = browser.consent(&[]).await.url;
    let foreign = come_back(&session, &back).await;
    assert_eq!(foreign.status, 400);
    assert!(foreign.body.contains("This sign-in was begun in another browser."), "{}", foreign.body);

    let mut browser = begin(app, &id, &session, json!({})).await;
    browser.stops_before_callback = true;
    let back = browser.consent(&[]).await.url;
    browser.keep(app, owner.split("; ").nth(1).unwrap());
    browser.stops_before_callback = false;
    let member = browser.open(Method::GET, &back, None).await;
    assert!(member.body.contains("This sign-in was begun by another member."), "{}", member.body);

    let mut browser = begin(app, &id, &session, json!({})).await;
    browser.stops_before_callback = true;
    let back = browser.consent(&[]).await.url;
    browser.stops_before_callback = false;
    let impostor = back.replace(&format!("iss={}", encoded(&provider.url)), "iss=https%3A%2F%2Fevil.example");
    assert_ne!(impostor, back, "{back}");
    let mixed = browser.open(Method::GET, &impostor, None).await;
    assert!(mixed.body.contains("The answer is not from the provider that was asked."), "{}", mixed.body);

    let nonsense = come_back(&session, &format!("{}/oauth/callback/google?state=x&code=y", app.url)).await;
    assert_eq!(nonsense.status, 400);
    let error =
        app.post(format!("/api/v1/integrations/{id}/oauth/authorize"), json!({"scopes": [""]})).refused(422).await;
    assert!(error.field("scopes").is_some());
}

fn encoded(text: &str) -> String {
    text.replace(':', "%3A").replace('/', "%2F")
}

async fn what_providers_refuse_is_explained(app: &App) {
    let mut provider = OauthServer::start(&app.url, json!({})).await;
    let id = provider.integration(app).await;
    let session = app.sign_in(Role::Admin).await;
    let mut browser = begin(app, &id, &session, json!({})).await;
    let denied = browser.consent(&[("decision", "deny")]).await;
    assert_eq!(denied.status, 400);
    assert!(
        denied.body.contains("The account&#39;s owner did not consent")
            || denied.body.contains("The account's owner did not consent"),
        "{}",
        denied.body
    );
    assert!(denied.body.contains("The owner of the account said no"), "{}", denied.body);
    assert!(denied.body.contains(&format!("/integrations/{id}?tab=connection")));

    // A wrong secret shows before an account is bothered, and again when a code is exchanged.
    let issuer = provider.url.clone();
    let draft = |secret: &str| {
        json!({
            "provider": "custom_oauth", "name": "Draft",
            "config": {"client_id": "signalbox", "issuer": issuer, "scopes": "openid"},
            "secrets": {"client_secret": secret},
        })
    };
    let right = app.post("/api/v1/integrations/test", draft("right-secret")).expect(200).await;
    assert_eq!(right["ok"], true, "{right}");
    let wrong = app.post("/api/v1/integrations/test", draft("wrong-secret")).expect(200).await;
    assert_eq!(wrong["message"], "Authentication failed. Please check credentials.", "{wrong}");
    assert!(text(&wrong["trouble"]["meaning"]).starts_with("Client ID and secret do not belong together"), "{wrong}");
    app.put(format!("/api/v1/integrations/{id}"), draft("wrong-secret")).expect(200).await;
    let mut browser = begin(app, &id, &session, json!({})).await;
    let refused = browser.consent(&[]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("invalid_client"), "{}", refused.body);
    assert_eq!(connection(app, &id).await["status"], "not_connected");

    // A redirect URI that is not registered stops at the provider.
    let mut other = draft("right-secret");
    other["provider"] = json!("custom_oauth");
    drop(provider.tokens().await);
    let elsewhere =
        OauthServer::start(&app.url, json!({"redirect_uris": ["https://elsewhere.example/callback"]})).await;
    other["config"]["issuer"] = json!(elsewhere.url);
    app.put(format!("/api/v1/integrations/{id}"), other).expect(200).await;
    let path = format!("/api/v1/integrations/{id}/oauth/authorize");
    let link = text(&app.post(path, json!({})).expect(200).await["authorization_url"]);
    let page = Browser::default().open(Method::POST, &link, None).await;
    assert_eq!(page.status, 400);
    assert!(page.body.contains("redirect_uri"), "{}", page.body);

    // Private addresses are refused where nobody opened them, for every address of a custom provider.
    for field in ["issuer", "authorize_url", "token_url", "revoke_url", "userinfo_url"] {
        let mut private = draft("right-secret");
        private["name"] = json!(format!("Private {field}"));
        private["config"][field] = json!("https://10.0.0.1/x");
        let error = app.post("/api/v1/integrations", private).refused(422).await;
        assert!(error.field(&format!("config.{field}")).is_some(), "{field}: {error:?}");
    }
}

async fn a_link_lets_a_colleague_connect(app: &App) {
    let provider = OauthServer::start(&app.url, json!({})).await;
    let id = provider.integration(app).await;
    let made = app.post(format!("/api/v1/integrations/{id}/oauth/links"), json!({})).expect(200).await;
    let link = text(&made["authorization_url"]);
    assert!(link.starts_with(&format!("{}/connect/", app.url)), "{link}");
    // Scanners of mail open links: that changes nothing.
    for _ in 0..2 {
        let page = Browser::default().open(Method::GET, &link, None).await;
        assert!(
            page.body.contains("Continue to Custom OAuth 2.0") && page.body.contains("calendar.read"),
            "{}",
            page.body
        );
    }
    let mut browser = Browser::default();
    browser.open(Method::POST, &link, None).await;
    let page = browser.consent(&[("account", "mary"), ("withhold", "calendar.read")]).await;
    assert!(page.body.contains("mary@company.com is connected"), "{}", page.body);
    assert!(page.body.contains("<li>calendar.read</li>"), "{}", page.body);
    assert_eq!(connection(app, &id).await["account"], "mary@company.com");
    for method in [Method::GET, Method::POST] {
        let used = Browser::default().open(method, &link, None).await;
        assert_eq!(used.status, 404);
        assert!(used.body.contains("It was used already"), "{}", used.body);
    }
}

async fn tokens_are_refreshed_once(app: &App) {
    // A token of two seconds is due after one: the callers of every round need a new one, and so does the worker.
    let mut provider = OauthServer::start(&app.url, json!({"access_s": 2})).await;
    let id = provider.connected(app).await;
    let first = generation(app, &id).await;
    drop(provider.tokens().await);
    let mut given = std::collections::BTreeSet::new();
    while given.len() < 3 {
        let asked: Vec<_> = (0..20)
            .map(|_| {
                let request = app.client.post(format!("{}/api/v1/connections/{id}/token", app.url));
                tokio::spawn(request.bearer_auth(crate::harness::ADMIN).json(&json!({})).send())
            })
            .collect();
        for answer in asked {
            let answer = answer.await.unwrap().unwrap();
            assert_eq!(answer.status(), 200);
            let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            given.insert(text(&body["access_token"]));
        }
    }
    refreshed_once_each(app, &mut provider, &id, first).await;
    assert_eq!(connection(app, &id).await["last_refresh"]["ok"], true);
}

pub(crate) async fn generation(app: &App, id: &str) -> i64 {
    let found = app.server.store.connection(app.organization().await, id.parse().unwrap()).await.unwrap();
    found.unwrap().generation
}

/// Each refresh token was presented once, and brought the next one.
pub(crate) async fn refreshed_once_each(app: &App, provider: &mut OauthServer, id: &str, first: i64) {
    // The worker may be at it: what is asked before and after encloses what is told between.
    let (before, mut refreshes) = (generation(app, id).await, provider.tokens().await);
    let after = generation(app, id).await;
    refreshes.retain(|token| token["grant_type"] == "refresh_token");
    assert!(refreshes.iter().all(|token| token["status"] == 200), "one came twice: {refreshes:?}");
    let told = i64::try_from(refreshes.len()).unwrap();
    // One that was told and is not stored yet counts too.
    assert!((before - first..=after - first + 1).contains(&told), "{told} of {before} to {after} from {first}");
    assert_eq!(connection(app, id).await["status"], "connected");
}

async fn failures_leave_what_works(app: &App) {
    let mut provider = OauthServer::start(&app.url, json!({})).await;
    let id = provider.connected(app).await;
    let path = format!("/api/v1/integrations/{id}/oauth/refresh");
    let before = token(app, &id).await;
    provider.change(&json!({"token_status": 503})).await;
    let error = app.post(&path, json!({})).refused(503).await;
    assert!(error.detail.contains("did not renew the access"), "{error:?}");
    let after = connection(app, &id).await;
    assert_eq!(after["status"], "connected", "the access it has still lives: {after}");
    assert_eq!((&after["last_refresh"]["ok"], &after["last_refresh"]["fault"]), (&json!(false), &json!("transient")));
    assert_eq!(token(app, &id).await["access_token"], before["access_token"]);

    provider.change(&json!({"token_status": 0})).await;
    let mended = app.post(&path, json!({})).expect(200).await;
    assert_eq!((&mended["status"], &mended["last_refresh"]["ok"]), (&json!("connected"), &json!(true)));
    assert_ne!(token(app, &id).await["access_token"], before["access_token"]);

    // The grant ends at the provider: somebody has to sign in again, and is told so, once.
    let access = text(&token(app, &id).await["access_token"]);
    let ended = app
        .client
        .post(format!("{}/token/revocation", provider.url))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={access}&client_id=signalbox&client_secret=right-secret"))
        .send()
        .await
        .unwrap();
    assert_eq!(ended.status(), 200);
    // A call that is refused makes the connection refresh itself, and works.
    let check = app.post(format!("/api/v1/integrations/{id}/health-check"), json!({})).expect(200).await;
    let connection = connection(app, &id).await;
    if check["ok"] == json!(true) {
        assert_eq!(connection["status"], "connected");
    } else {
        // The provider ended the whole grant with its access token.
        assert_eq!(connection["status"], "revoked", "{connection}");
        assert_eq!(connection["problem"], "Please reconnect your Custom OAuth 2.0 account");
        assert_eq!(check["message"], "Please reconnect your Custom OAuth 2.0 account");
    }
}

async fn a_lost_answer_is_called_so(app: &App) {
    let mut provider = OauthServer::start(&app.url, json!({})).await;
    let id = provider.connected(app).await;
    let path = format!("/api/v1/integrations/{id}/oauth/refresh");
    provider.change(&json!({"drop": true})).await;
    app.post(&path, json!({})).refused(503).await;
    let lost = connection(app, &id).await;
    assert_eq!(lost["status"], "connected", "nobody knows yet: {lost}");
    assert_eq!(lost["last_refresh"]["ok"], Value::Null);
    provider.change(&json!({"drop": false})).await;
    let error = app.post(&path, json!({})).refused(409).await;
    assert!(error.detail.contains("an answer with a new refresh token was lost"), "{error:?}");
    let known = connection(app, &id).await;
    assert_eq!((&known["status"], &known["last_refresh"]["fault"]), (&json!("needs_reauth"), &json!("lost_rotation")));
    let tokens = provider.tokens().await;
    assert_eq!(tokens.last().unwrap()["error"], "invalid_grant", "{tokens:?}");
    // One alert, which ends when the account is connected again.
    let alerts = async || {
        let alerts = app.get("/api/v1/alerts").expect(200).await;
        rows(&alerts).iter().filter(|alert| alert["rule"] == "reauthenticate").count()
    };
    let deadline = tokio::time::Instant::now() + crate::harness::PATIENCE;
    while alerts().await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "nobody is told");
        tokio::task::yield_now().await;
    }
    let link = text(
        &app.post(format!("/api/v1/integrations/{id}/oauth/links"), json!({})).expect(200).await["authorization_url"],
    );
    let mut browser = Browser::default();
    browser.open(Method::POST, &link, None).await;
    browser.consent(&[]).await;
    assert_eq!(connection(app, &id).await["status"], "connected");
    while alerts().await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "the alert stays");
        tokio::task::yield_now().await;
    }
}

/// A provider that answers with what is no JSON, or after the deadline, may have done what it was asked: nobody presents the
/// refresh token again while the access lives, but for a person who insists.
async fn answers_that_are_none_spend_the_token(app: &App) {
    let mut provider = OauthServer::start(&app.url, json!({})).await;
    for change in [json!({"garbage": true}), json!({"garbage": false, "hold": true})] {
        let id = provider.connected(app).await;
        let before = token(app, &id).await;
        drop(provider.tokens().await);
        provider.change(&change).await;
        app.post(format!("/api/v1/integrations/{id}/oauth/refresh"), json!({})).refused(503).await;
        provider.change(&json!({"hold": false, "garbage": false})).await;
        let done = match provider.tokens().await.pop() {
            Some(done) => done,
            None => provider.says("token").await,
        };
        assert_eq!(done["status"], 200, "{change}: it was done");
        let after = connection(app, &id).await;
        assert_eq!((&after["status"], &after["last_refresh"]["ok"]), (&json!("connected"), &Value::Null), "{change}");
        let (next, end) = (after["next_refresh_at"].as_str().unwrap(), after["expires_at"].as_str().unwrap());
        let (next, end) = (domain::Timestamp::parse(next).unwrap(), domain::Timestamp::parse(end).unwrap());
        assert!(next >= end.plus_ms(-domain::LEAST_LEFT_MS), "{change}: {next} {end}");
        assert_eq!(token(app, &id).await["access_token"], before["access_token"]);
        app.delete(format!("/api/v1/integrations/{id}")).expect(204).await;
    }
}

async fn disconnecting_ends_the_access(app: &App) {
    let provider = OauthServer::start(&app.url, json!({})).await;
    let id = provider.connected(app).await;
    let access = text(&token(app, &id).await["access_token"]);
    let lives = async || {
        let me = app.client.get(format!("{}/me", provider.url)).bearer_auth(&access).send();
        me.await.unwrap().status() == 200
    };
    assert!(lives().await);
    let ended = app.delete(format!("/api/v1/integrations/{id}/oauth")).expect(200).await;
    assert_eq!(ended["revocation"], "revoked", "{ended}");
    assert!(!lives().await);
    let after = connection(app, &id).await;
    assert_eq!((&after["status"], &after["account"]), (&json!("not_connected"), &Value::Null));
    app.post(format!("/api/v1/connections/{id}/token"), json!({})).refused(409).await;
    app.delete(format!("/api/v1/integrations/{id}/oauth")).refused(409).await;
    assert_eq!(app.get(format!("/api/v1/integrations/{id}")).expect(200).await["name"], "Calendar");
}

/// Neither the client's secret nor any token is in what the server answers or keeps in the clear.
async fn secrets_stay_inside(app: &App) {
    let provider = OauthServer::start(&app.url, json!({})).await;
    let id = provider.connected(app).await;
    let access = text(&token(app, &id).await["access_token"]);
    let session = app.sign_in(Role::Owner).await;
    let mut shown = String::new();
    for path in [
        format!("/api/v1/integrations/{id}"),
        format!("/api/v1/integrations/{id}/oauth"),
        format!("/api/v1/integrations/{id}/logs"),
        format!("/api/v1/integrations/{id}/health"),
        "/api/v1/audit".to_owned(),
        format!("/integrations/{id}?tab=connection"),
        format!("/integrations/{id}?tab=settings"),
        format!("/integrations/{id}?tab=logs"),
        "/settings".to_owned(),
    ] {
        let reply = app.ask(Method::GET, &path).header("cookie", &session).send().await;
        assert_eq!(reply.status, 200, "{path}");
        shown += &reply.body;
    }
    let mut kept = Vec::new();
    if app.database.url.starts_with("sqlite") {
        for file in std::fs::read_dir(app.database.folder.path()).unwrap() {
            kept.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        assert!(!kept.is_empty());
    }
    for secret in ["right-secret", &access] {
        assert!(!shown.contains(secret), "an answer holds a secret");
        assert!(!kept.windows(secret.len()).any(|window| window == secret.as_bytes()), "the database holds a secret");
    }
}
