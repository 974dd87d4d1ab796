//! Server functions, noun by noun: the screens' way to the engine. Each takes the engine and the caller from the request,
//! calls one use-case, and holds no rule of its own. Forms post to them with and without JavaScript.

pub mod alerts;
pub mod api_keys;
pub mod audit;
pub mod dead_letters;
pub mod deliveries;
pub mod emails;
pub mod event_types;
pub mod events;
pub mod failover;
pub mod filters;
pub mod inspector;
pub mod integration_form;
pub mod integrations;
pub mod jobs;
pub mod members;
pub mod oauth;
pub mod overview;
pub mod preferences;
pub mod retry_form;
pub mod retry_policy;
pub mod saved_views;
pub mod sessions;
pub mod setup;
pub mod sources;
pub mod webhook_form;
pub mod webhooks;
