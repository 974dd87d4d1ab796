//! The server as its users meet it: over HTTP, on a real port, on both databases.
//!
//! Every test has a server of its own on SQLite in a temporary folder and, when `SIGNALBOX_TEST_POSTGRES_URL` names a
//! PostgreSQL, another one in a database of its own. Tests wait for what happens, with a generous limit, and never for
//! time to pass.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod aliases;
mod auth;
mod bad_input;
mod browser;
mod cluster;
mod database;
mod dead_letters;
mod emails;
mod events;
mod exports;
mod failover;
mod harness;
mod inspector;
mod integrations;
mod interop;
mod live;
mod mail;
mod oauth;
mod oauth_server;
mod openapi;
mod operations;
mod outside;
mod process;
mod queries;
mod receiver;
mod receivers;
mod secrets;
mod torture;
mod webhooks;

/// Runs each named `async fn name(app: &App)` on SQLite and on PostgreSQL, as `name::sqlite` and `name::postgres`.
macro_rules! on_each_database {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let app = $crate::harness::App::start($crate::database::Database::sqlite()).await;
                super::$name(&app).await;
                app.end().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let app = $crate::harness::App::start($crate::database::Database::postgres()).await;
                super::$name(&app).await;
                app.end().await;
            }
        }
    )*};
}
pub(crate) use on_each_database;
