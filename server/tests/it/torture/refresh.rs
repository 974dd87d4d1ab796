//! A refresh token that may be presented once, three nodes, and everybody at once.

use http::StatusCode;
use serde_json::json;
use server::lifecycle::Server;

use super::rounds;
use crate::{
    database::{Database, psql},
    harness::{ADMIN, App, config},
    oauth::{generation, refreshed_once_each},
    oauth_server::OauthServer,
    process::Process,
};

/// Who asks each node at a time.
const CALLERS: usize = 50;

/// Three nodes on one database, many callers, one token that ends: a refresh token is presented once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_present_a_refresh_token_once() {
    let app = App::start(Database::postgres()).await;
    let others =
        [Server::start(&config(&app.database)).await.unwrap(), Server::start(&config(&app.database)).await.unwrap()];
    let urls = [app.url.clone(), format!("http://{}", others[0].address), format!("http://{}", others[1].address)];
    let mut provider = OauthServer::start(&app.url, json!({})).await;
    let id = provider.connected(&app).await;
    let first = generation(&app, &id).await;
    drop(provider.tokens().await);
    let all = rounds(5.0, 50);
    for round in 0..all {
        let asked: Vec<_> = (0..CALLERS * urls.len())
            .map(|index| {
                let url = format!("{}/api/v1/integrations/{id}/oauth/refresh", urls[index % urls.len()]);
                let request = app.client.post(url).bearer_auth(ADMIN).json(&json!({}));
                tokio::spawn(request.send())
            })
            .collect();
        for answer in asked {
            let answer = answer.await.unwrap().unwrap();
            assert_eq!(answer.status(), 200, "{round}: {}", answer.text().await.unwrap());
        }
    }
    assert!(generation(&app, &id).await >= first + i64::try_from(all).unwrap());
    refreshed_once_each(&app, &mut provider, &id, first).await;
    app.post(format!("/api/v1/integrations/{id}/oauth/refresh"), json!({})).expect(200).await;
    for node in others {
        node.stop().await;
    }
    app.end().await;
}

/// A node dies with its refresh on the way. Its lease keeps the others away until it ends; then another goes on, and finds out
/// whether the refresh token was spent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_killed_in_the_middle_of_a_refresh() {
    let app = App::start(Database::postgres()).await;
    let mut provider = OauthServer::start(&app.url, json!({})).await;
    for (round, was_spent) in [(1, false), (2, true)] {
        let id = provider.connected(&app).await;
        let first = generation(&app, &id).await;
        let mut command = Process::command(&app.database, &[]);
        let mut node = Process::start(command.env("SIGNALBOX_DATA_DIR", app.database.folder.path())).await;
        provider.change(&json!({"hold": true})).await;
        let url = format!("{}/api/v1/integrations/{id}/oauth/refresh", node.url);
        let asked = tokio::spawn(app.client.post(url).bearer_auth(ADMIN).json(&json!({})).send());
        provider.says("held").await;
        node.child.kill().await.unwrap();
        assert!(asked.await.unwrap().is_err(), "it died before it could answer");
        drop(provider.tokens().await);
        provider.change(&json!({"hold": if was_spent { json!(false) } else { json!("forget") }})).await;
        if was_spent {
            assert_eq!(provider.says("token").await["status"], 200, "it was answered to nobody");
        }

        // The access that lives goes on being given out.
        let given = app.post(format!("/api/v1/connections/{id}/token"), json!({})).expect(200).await;
        assert_eq!(given["token_type"], "Bearer");
        // Each round is later than the lease of its dead node by the database's clock.
        let later_ms = round * (domain::REFRESH_LEASE_MS + 1_000);
        let later = format!(
            "create or replace view database_clock as \
             select (extract(epoch from clock_timestamp()) * 1000)::bigint + {later_ms} as now_ms"
        );
        psql(&app.database.url, &later);
        let path = format!("/api/v1/integrations/{id}/oauth/refresh");
        let reply = app.post(&path, json!({})).send().await;
        let after = app.get(format!("/api/v1/integrations/{id}/oauth")).expect(200).await;
        if was_spent {
            assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.body);
            assert_eq!(
                (&after["status"], &after["last_refresh"]["fault"]),
                (&json!("needs_reauth"), &json!("lost_rotation"))
            );
        } else {
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
            assert_eq!(after["status"], "connected");
            assert_eq!(generation(&app, &id).await, first + 1);
        }
        assert_eq!(after["history"][1]["ok"], json!(null), "what the dead node began is noted: {after}");
        app.delete(format!("/api/v1/integrations/{id}")).expect(204).await;
    }
    app.end().await;
}
