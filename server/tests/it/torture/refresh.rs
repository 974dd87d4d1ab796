//! A refresh token that may be presented once, three nodes, and everybody at once.

use serde_json::json;
use server::lifecycle::Server;

use super::rounds;
use crate::{
    database::Database,
    harness::{ADMIN, App, config},
    oauth::{generation, refreshed_once_each},
    oauth_server::OauthServer,
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
    let mut provider = OauthServer::start(&app, json!({})).await;
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
