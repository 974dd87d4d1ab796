//! Connections over time, with a token endpoint that answers as it is told and clocks that the test moves: outages, waits that
//! are too long, and nodes whose clocks differ.

use std::collections::BTreeMap;

use domain::{
    ConnectionStatus, IntegrationDraft, IntegrationId, RefreshFault,
    api::{AuthorizationRequest, ErrorCode, OauthConnection},
};
use engine::{Callback, Finished, ManualClock, Sent, Unfinished};
use serde_json::json;

use super::harness::{PATIENCE, Receiver, Reply, START, World};

/// An answer of a token endpoint: the tokens of one generation.
fn tokens(generation: u32, lifetime_s: u32) -> Reply {
    let body = json!({
        "access_token": format!("access-{generation}"), "refresh_token": format!("refresh-{generation}"),
        "token_type": "Bearer", "expires_in": lifetime_s,
    });
    Reply::Status(200, "content-type: application/json\r\n", body.to_string())
}

fn unavailable() -> Reply {
    Reply::Status(503, "content-type: application/json\r\n", r#"{"error":"temporarily_unavailable"}"#.to_owned())
}

async fn integration(world: &World, provider: &Receiver) -> IntegrationId {
    let config = [
        ("client_id", json!("signalbox")),
        ("authorize_url", json!("http://127.0.0.1:1/authorize")),
        ("token_url", json!(provider.url())),
        ("scopes", json!("calendar.read offline_access")),
    ];
    let draft = IntegrationDraft {
        provider: "custom_oauth".into(),
        name: "Calendar".into(),
        config: config.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        secrets: BTreeMap::from([("client_secret".to_owned(), Some("secret".to_owned()))]),
        check_interval_s: 86_400,
        ..IntegrationDraft::default()
    };
    world.engine.create_integration(&world.actor, draft).await.unwrap().id
}

async fn sent(world: &World, id: IntegrationId) -> Sent {
    world.engine.authorize(&world.actor, id, AuthorizationRequest::default(), None).await.unwrap()
}

/// The browser comes back.
async fn back(world: &World, sent: &Sent) -> Result<Finished, Unfinished> {
    let url = url::Url::parse(&sent.authorization.authorization_url).unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let callback = Callback { state, code: Some("code".to_owned()), ..Callback::default() };
    world.engine.finish_authorization("custom_oauth", callback, Some(sent.browser.expose()), None).await
}

/// A connection whose first access lives that long.
async fn connected(world: &World, provider: &mut Receiver, lifetime_s: u32) -> IntegrationId {
    let id = integration(world, provider).await;
    provider.then(tokens(1, lifetime_s));
    back(world, &sent(world, id).await).await.unwrap();
    assert!(provider.next().await.body.contains("grant_type=authorization_code"));
    id
}

async fn connection(world: &World, id: IntegrationId) -> OauthConnection {
    world.engine.oauth_connection(&world.actor, id).await.unwrap()
}

/// The connection, once this is true of it.
async fn until(world: &World, id: IntegrationId, is_so: impl Fn(&OauthConnection) -> bool) -> OauthConnection {
    let reached = async {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            tick.tick().await;
            let found = connection(world, id).await;
            if is_so(&found) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("it comes to that in time")
}

/// Moves the clock to the next refresh, which is refused: the connection after it.
async fn refused_again(world: &World, provider: &mut Receiver, id: IntegrationId) -> OauthConnection {
    let before = connection(world, id).await;
    let due = before.next_refresh_at.unwrap();
    provider.then(unavailable());
    world.clock.advance_ms(due.since_ms(world.engine.now()).max(0));
    assert!(provider.next().await.body.contains("refresh_token=refresh-1"), "the refresh token is the same");
    until(world, id, |found| found.next_refresh_at != Some(due)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_costs_nothing_while_the_access_lives_and_mends_itself() {
    let world = World::new().await;
    let mut provider = Receiver::start([]).await;
    let id = connected(&world, &mut provider, 7_200).await;
    let end = connection(&world, id).await.expires_at.unwrap();
    assert_eq!(end, START.plus_ms(7_200_000));

    let mut failures = 0;
    while connection(&world, id).await.next_refresh_at.unwrap() < end {
        let found = refused_again(&world, &mut provider, id).await;
        failures += 1;
        assert_eq!((found.status, found.problem), (ConnectionStatus::Connected, None), "after {failures} failures");
        assert_eq!(found.last_refresh.unwrap().fault, Some(RefreshFault::Transient));
        // Until its last moment it is given out.
        assert_eq!(world.engine.connection_token(&world.actor, id).await.unwrap().access_token, "access-1");
        assert!(provider.is_quiet(), "callers do not hammer a provider that is down");
    }
    assert!(failures >= 4, "15 minutes hold pauses of 30 s, 1, 2, 4 minutes; there were {failures}");

    // Two hours beyond its end: nobody pretends, and nobody gives up.
    while world.engine.now() < end.plus_ms(7_200_000) {
        let found = refused_again(&world, &mut provider, id).await;
        let pause = found.next_refresh_at.unwrap().since_ms(world.engine.now());
        assert!((27_000..=33 * 60_000).contains(&pause), "{pause}");
        assert_eq!(found.status, ConnectionStatus::Expiring);
        assert!(found.problem.unwrap().contains("has not renewed the access, which has ended"));
        let error = world.engine.connection_token(&world.actor, id).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::Unavailable);
        assert!(error.retry_after_s.is_some());
        assert!(provider.is_quiet());
    }
    provider.then(tokens(2, 7_200));
    let due = connection(&world, id).await.next_refresh_at.unwrap();
    world.clock.advance_ms(due.since_ms(world.engine.now()));
    provider.next().await;
    let found = until(&world, id, |found| found.status == ConnectionStatus::Connected).await;
    assert_eq!((found.problem, found.last_refresh.unwrap().ok), (None, Some(true)));
    assert_eq!(world.engine.connection_token(&world.actor, id).await.unwrap().access_token, "access-2");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_that_nothing_renews_ends_and_says_so() {
    let world = World::new().await;
    let mut provider = Receiver::start([]).await;
    let id = integration(&world, &provider).await;
    let body = json!({"access_token": "access-1", "token_type": "Bearer", "expires_in": 3_600}).to_string();
    provider.then(Reply::Status(200, "content-type: application/json\r\n", body));
    back(&world, &sent(&world, id).await).await.unwrap();
    provider.next().await;
    let found = connection(&world, id).await;
    assert_eq!((found.auto_refresh, found.next_refresh_at), (false, None));
    world.clock.advance_ms(3_599_999);
    assert_eq!(world.engine.connection_token(&world.actor, id).await.unwrap().access_token, "access-1");
    world.clock.advance_ms(1);
    let found = connection(&world, id).await;
    assert_eq!(found.status, ConnectionStatus::NeedsReauth);
    assert_eq!(found.problem.as_deref(), Some("Please reconnect your Custom OAuth 2.0 account"));
    let error = world.engine.connection_token(&world.actor, id).await.err().unwrap();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert!(provider.is_quiet(), "there is nothing to ask for");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_too_long_begins_again() {
    let world = World::new().await;
    let provider = Receiver::start([tokens(1, 3_600)]).await;
    let id = integration(&world, &provider).await;
    let (slow, in_time) = (sent(&world, id).await, sent(&world, id).await);
    world.clock.advance_ms(10 * 60_000 - 1);
    back(&world, &in_time).await.unwrap();
    world.clock.advance_ms(1);
    assert_eq!(back(&world, &slow).await.unwrap_err().problem, "This sign-in took longer than 10 minutes.");
    assert_eq!(connection(&world, id).await.status, ConnectionStatus::Connected);

    let link = world.engine.connect_link(&world.actor, id, AuthorizationRequest::default()).await.unwrap();
    let token = link.authorization_url.rsplit('/').next().unwrap();
    world.clock.advance_ms(86_400_000 - 1);
    assert_eq!(world.engine.connect_page(token).await.unwrap().name, "Calendar");
    world.clock.advance_ms(1);
    assert_eq!(world.engine.connect_page(token).await.unwrap_err().code, ErrorCode::NotFound);
    assert!(world.engine.follow_link(token, None).await.is_err());
    world.stop().await;
}

/// The nodes of one database need not agree on the time: who leads renews early, who lags uses what is there, and no refresh
/// token is presented twice.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_five_minutes_apart_renew_once() {
    let behind = World::new().await;
    let ahead = behind.beside(ManualClock::new(START.plus_ms(300_000))).await;
    let mut provider = Receiver::start([]).await;
    // By the one clock it has just begun, by the other it ends in less than a minute.
    let id = connected(&behind, &mut provider, 350).await;
    provider.then(tokens(2, 350));
    let asked = (0..20).map(|index| {
        let world = if index % 2 == 0 { &behind } else { &ahead };
        let (engine, actor) = (world.engine.clone(), world.actor.clone());
        tokio::spawn(async move { engine.connection_token(&actor, id).await.unwrap().access_token })
    });
    let mut given = std::collections::BTreeSet::new();
    for token in asked.collect::<Vec<_>>() {
        given.insert(token.await.unwrap());
    }
    assert!(given.iter().all(|token| token == "access-1" || token == "access-2"), "{given:?}");
    assert!(provider.next().await.body.contains("refresh_token=refresh-1"));
    for world in [&behind, &ahead] {
        let found =
            until(world, id, |found| found.last_refresh.as_ref().is_some_and(|last| last.ok == Some(true))).await;
        assert_eq!(found.status, ConnectionStatus::Connected);
        assert_eq!(world.engine.connection_token(&world.actor, id).await.unwrap().access_token, "access-2");
    }
    assert!(provider.is_quiet(), "one was enough");
    // They share the store, which ends with either.
    ahead.stop().await;
}
