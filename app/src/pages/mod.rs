//! One module per address: `/webhooks/new` is `webhooks::new`, `/deliveries/{id}` is `deliveries::one`. A page creates all its
//! resources in its own body, never inside something that waits: only so do server and browser count them alike.

pub mod alerts;
pub mod api;
pub mod dead_letters;
pub mod deliveries;
pub mod emails;
pub mod events;
pub mod inspector;
pub mod integrations;
pub mod jobs;
pub mod lazy;
pub mod login;
pub mod logs;
pub mod not_found;
pub mod overview;
pub mod retry_policy;
pub mod settings;
pub mod setup;
pub mod webhooks;
