//! The index of the product: every path, grouped by caller, with what its caller must be allowed to do.

use axum::{
    Router,
    http::header::CONTENT_TYPE,
    middleware,
    response::IntoResponse,
    routing::{any, get, post},
};
use domain::Permission as P;
use tower_http::compression::{
    CompressionLayer,
    predicate::{NotForContentType, Predicate, SizeAbove},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Shared,
    auth::{needs, signed_in},
    docs, email_frames, health, inspect, live, oauth,
    openapi::{self, at},
    pages, problem, request, unsubscribe,
    v1::{
        alerts, api_keys, audit, catalogue, dead_letters, deliveries, email_templates, emails, event_types, events,
        failover, files, inspector, integrations, jobs, me, members, oauth as connections, overview, replays,
        retention, retry_policy, sms, sources, suppressions, webhooks,
    },
};

/// Answers smaller than this are not compressed, in bytes: they fit into one packet anyway.
const COMPRESS_ABOVE: u64 = 1024;

/// The REST API.
pub fn routes() -> OpenApiRouter<Shared> {
    let v1 = OpenApiRouter::with_openapi(openapi::head())
        // Programs: publish
        .routes(needs(P::SendEvents, routes!(events::publish)))
        .routes(needs(P::SendEvents, routes!(events::publish_batch)))
        .routes(needs(P::ReadEvents, routes!(events::list)))
        .routes(needs(P::ReadEvents, routes!(events::show)))
        .routes(needs(P::ReadDeliveries, routes!(events::deliveries)))
        // Whoever looks after webhooks
        .routes(needs(P::ReadWebhooks, routes!(webhooks::list)))
        .routes(needs(P::WriteWebhooks, routes!(webhooks::create)))
        .routes(needs(P::ReadWebhooks, routes!(webhooks::show)))
        .routes(needs(P::WriteWebhooks, routes!(webhooks::update)))
        .routes(needs(P::WriteWebhooks, routes!(webhooks::delete)))
        .routes(needs(P::WriteWebhooks, routes!(webhooks::set_state)))
        .routes(needs(P::TestWebhooks, routes!(webhooks::test)))
        .routes(needs(P::ReadSecrets, routes!(webhooks::secret)))
        .routes(needs(P::WriteWebhooks, routes!(webhooks::rotate_secret)))
        .routes(needs(P::ReadDeliveries, routes!(webhooks::deliveries)))
        .routes(needs(P::ReadDeliveries, routes!(deliveries::list)))
        .routes(needs(P::ReadDeliveries, routes!(deliveries::export)))
        .routes(needs(P::ReadDeliveries, routes!(deliveries::failures)))
        .routes(needs(P::ReadDeliveries, routes!(deliveries::show)))
        .routes(needs(P::ReplayDeliveries, routes!(deliveries::replay)))
        .routes(needs(P::ReplayDeliveries, routes!(deliveries::resend)))
        .routes(needs(P::ReadDeliveries, routes!(dead_letters::list)))
        .routes(needs(P::ReadDeliveries, routes!(dead_letters::summary)))
        .routes(needs(P::ReplayDeliveries, routes!(dead_letters::retry)))
        .routes(needs(P::ReplayDeliveries, routes!(dead_letters::clear)))
        .routes(needs(P::ReplayDeliveries, routes!(dead_letters::retry_many)))
        .routes(needs(P::ReplayDeliveries, routes!(dead_letters::clear_many)))
        .routes(needs(P::ReplayDeliveries, routes!(dead_letters::restore)))
        .routes(needs(P::ReplayDeliveries, routes!(replays::start)))
        .routes(needs(P::ReadDeliveries, routes!(jobs::list)))
        .routes(needs(P::ReadDeliveries, routes!(jobs::show)))
        .routes(needs(P::ReplayDeliveries, routes!(jobs::cancel)))
        .routes(needs(P::ReadWebhooks, routes!(retry_policy::show)))
        .routes(needs(P::WriteSettings, routes!(retry_policy::update)))
        .routes(needs(P::ReadWebhooks, routes!(retry_policy::preview)))
        .routes(needs(P::ReadDeliveries, routes!(retention::show)))
        .routes(needs(P::WriteSettings, routes!(retention::update)))
        .routes(needs(P::ReadInspector, routes!(inspector::address)))
        .routes(needs(P::ReadInspector, routes!(inspector::requests)))
        .routes(needs(P::ClearInspector, routes!(inspector::clear)))
        .routes(needs(P::ReadInspector, routes!(inspector::response)))
        .routes(needs(P::TestWebhooks, routes!(inspector::set_response)))
        .routes(needs(P::ReadDeliveries, routes!(overview::show)))
        // Whoever looks after integrations
        .routes(needs(P::ReadIntegrations, routes!(integrations::list)))
        .routes(needs(P::ReadIntegrations, routes!(integrations::summary)))
        .routes(needs(P::WriteIntegrations, routes!(integrations::create)))
        .routes(needs(P::WriteIntegrations, routes!(integrations::test_draft)))
        .routes(needs(P::OperateIntegrations, routes!(integrations::check_all)))
        .routes(needs(P::ReadIntegrations, routes!(integrations::check_round)))
        .routes(needs(P::OperateIntegrations, routes!(integrations::cancel_check)))
        .routes(needs(P::ReadIntegrations, routes!(integrations::show)))
        .routes(needs(P::WriteIntegrations, routes!(integrations::update)))
        .routes(needs(P::WriteIntegrations, routes!(integrations::delete)))
        .routes(needs(P::WriteIntegrations, routes!(integrations::enable)))
        .routes(needs(P::WriteIntegrations, routes!(integrations::disable)))
        .routes(needs(P::WriteIntegrations, routes!(integrations::regenerate)))
        .routes(needs(P::OperateIntegrations, routes!(integrations::reconnect)))
        .routes(needs(P::OperateIntegrations, routes!(integrations::test)))
        .routes(needs(P::OperateIntegrations, routes!(integrations::test_email)))
        .routes(needs(P::OperateIntegrations, routes!(integrations::check)))
        .routes(needs(P::OperateIntegrations, routes!(integrations::diagnose)))
        .routes(needs(P::OperateIntegrations, routes!(integrations::maintenance)))
        .routes(needs(P::OperateIntegrations, routes!(integrations::runbook)))
        .routes(needs(P::ReadIntegrations, routes!(integrations::health)))
        .routes(needs(P::ReadIntegrations, routes!(integrations::usage)))
        .routes(needs(P::ReadSecrets, routes!(integrations::reveal)))
        .routes(needs(P::ReadIntegrations, routes!(integrations::logs)))
        .routes(needs(P::WriteIntegrations, routes!(integrations::clear_logs)))
        .routes(needs(P::ReadIntegrations, routes!(integrations::all_logs)))
        .routes(needs(P::ReadIntegrations, routes!(integrations::export_logs)))
        .routes(needs(P::ReadIntegrations, routes!(connections::show)))
        .routes(needs(P::WriteIntegrations, routes!(connections::authorize)))
        .routes(needs(P::WriteIntegrations, routes!(connections::link)))
        .routes(needs(P::OperateIntegrations, routes!(connections::refresh)))
        .routes(needs(P::WriteIntegrations, routes!(connections::set_sync)))
        .routes(needs(P::ReadIntegrations, routes!(connections::calendars)))
        .routes(needs(P::WriteIntegrations, routes!(connections::disconnect)))
        .routes(needs(P::UseConnections, routes!(connections::token)))
        .routes(needs(P::ReadIntegrations, routes!(failover::show)))
        .routes(needs(P::WriteIntegrations, routes!(failover::put)))
        .routes(needs(P::OperateIntegrations, routes!(failover::trigger)))
        .routes(needs(P::OperateIntegrations, routes!(failover::restore)))
        .routes(needs(P::WriteIntegrations, routes!(failover::make_primary)))
        .routes(needs(P::ReadIntegrations, routes!(failover::history)))
        .routes(needs(P::ReadIntegrations, routes!(failover::rehearse)))
        .routes(needs(P::ReadIntegrations, routes!(alerts::list)))
        .routes(needs(P::OperateIntegrations, routes!(alerts::acknowledge)))
        .routes(needs(P::OperateIntegrations, routes!(alerts::snooze)))
        .routes(needs(P::OperateIntegrations, routes!(alerts::resolve)))
        .routes(needs(P::ReadIntegrations, routes!(alerts::settings)))
        .routes(needs(P::WriteSettings, routes!(alerts::set_settings)))
        .routes(needs(P::SendEmails, routes!(emails::send)))
        .routes(needs(P::SendEmails, routes!(emails::bounce)))
        .routes(needs(P::ReadIntegrations, routes!(emails::list)))
        .routes(needs(P::ReadIntegrations, routes!(emails::show)))
        .routes(needs(P::SendSms, routes!(sms::send)))
        .routes(needs(P::StoreFiles, routes!(files::put)))
        .routes(needs(P::ReadIntegrations, routes!(email_templates::list)))
        .routes(needs(P::WriteIntegrations, routes!(email_templates::create)))
        .routes(needs(P::ReadIntegrations, routes!(email_templates::preview)))
        .routes(needs(P::WriteIntegrations, routes!(email_templates::update)))
        .routes(needs(P::WriteIntegrations, routes!(email_templates::delete)))
        .routes(needs(P::ReadIntegrations, routes!(suppressions::list)))
        .routes(needs(P::OperateIntegrations, routes!(suppressions::add)))
        .routes(needs(P::OperateIntegrations, routes!(suppressions::remove)))
        // Whoever sets up the organization
        .routes(needs(P::ReadEvents, routes!(event_types::list)))
        .routes(needs(P::WriteEventTypes, routes!(event_types::create)))
        .routes(needs(P::WriteEventTypes, routes!(event_types::delete)))
        .routes(needs(P::ReadSources, routes!(sources::list)))
        .routes(needs(P::WriteSources, routes!(sources::create)))
        .routes(needs(P::WriteSources, routes!(sources::delete)))
        .routes(needs(P::ManageApiKeys, routes!(api_keys::list)))
        .routes(needs(P::ManageApiKeys, routes!(api_keys::create)))
        .routes(needs(P::ManageApiKeys, routes!(api_keys::revoke)))
        .routes(needs(P::ManageMembers, routes!(members::list)))
        .routes(needs(P::ManageMembers, routes!(members::create)))
        .routes(needs(P::ReadAudit, routes!(audit::list)))
        .routes(needs(P::ReadIntegrations, routes!(me::notifications)))
        .routes(needs(P::ReadIntegrations, routes!(me::set_notifications)))
        // Everybody
        .routes(signed_in(routes!(catalogue::list)))
        .routes(signed_in(routes!(me::whoami)));
    aliases(v1)
}

/// Paths of the systems that Signalbox takes over from. The same handlers; nothing is done twice.
fn aliases(api: OpenApiRouter<Shared>) -> OpenApiRouter<Shared> {
    const INTEGRATIONS: &str = "/api/integrations/webhooks";
    const ONE_INTEGRATION: &str = "/api/integrations/webhooks/{id}";
    const SERVICE: &str = "/api/service/webhooks";
    const ONE_SERVICE: &str = "/api/service/webhooks/{id}";
    api.routes(needs(P::ReadWebhooks, at(INTEGRATIONS, routes!(webhooks::list))))
        .routes(needs(P::WriteWebhooks, at(INTEGRATIONS, routes!(webhooks::create))))
        .routes(needs(P::WriteWebhooks, at(ONE_INTEGRATION, routes!(webhooks::update))))
        .routes(needs(P::WriteWebhooks, at(ONE_INTEGRATION, routes!(webhooks::delete))))
        .routes(needs(
            P::ReadDeliveries,
            at("/api/integrations/webhooks/{id}/deliveries", routes!(webhooks::deliveries)),
        ))
        .routes(needs(P::ReplayDeliveries, routes!(deliveries::replay_of_webhook)))
        .routes(needs(P::ReadWebhooks, at(SERVICE, routes!(webhooks::list))))
        .routes(needs(P::WriteWebhooks, at(SERVICE, routes!(webhooks::create))))
        .routes(needs(P::WriteWebhooks, at(ONE_SERVICE, routes!(webhooks::update))))
        .routes(needs(P::WriteWebhooks, at(ONE_SERVICE, routes!(webhooks::delete))))
        .routes(needs(P::TestWebhooks, at("/api/service/webhooks/{id}/test", routes!(webhooks::test))))
        .routes(needs(P::SendEvents, at("/api/service/events", routes!(events::publish))))
        .routes(needs(P::ReadEvents, at("/api/service/events", routes!(events::list))))
        .routes(needs(P::ReadDeliveries, at("/api/service/events/{id}/deliveries", routes!(events::deliveries))))
}

/// Everything that this server answers.
pub fn router(shared: Shared) -> Router {
    let (api, _) = routes().split_for_parts();
    let compression = CompressionLayer::new()
        .compress_when(SizeAbove::new(COMPRESS_ABOVE).and(NotForContentType::SSE).and(NotForContentType::IMAGES));
    Router::new()
        .merge(api)
        .merge(described(&shared.site.public_url))
        // Receivers' side: whoever knows the token
        .route("/inspect/{token}", any(inspect::record))
        .route("/inspect/{token}/{*rest}", any(inspect::record))
        // Recipients of e-mails, whoever has the link; and their providers, who prove themselves by a signature
        .route("/unsubscribe/{token}", get(unsubscribe::show).post(unsubscribe::change))
        .route("/api/webhooks/{provider}/{id}", post(unsubscribe::events))
        // Browsers that come back from a provider of OAuth 2.0, and whoever has a link to connect an account
        .route("/oauth/callback/{provider}", get(oauth::callback))
        .route("/connect/{token}", get(oauth::show_link).post(oauth::follow_link))
        // The page that is open in a browser
        .route("/_ui/live", live::route())
        .merge(email_frames::router())
        // Operators: probes and scrapers, from inside the network
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/api/{*rest}", any(problem::unknown_path))
        .method_not_allowed_fallback(problem::unknown_method)
        // People: screens
        .merge(pages::router(&shared))
        .layer(compression)
        .layer(middleware::from_fn_with_state(shared.clone(), request::envelope))
        .with_state(shared)
}

/// The document and its pages, made once.
fn described(public_url: &str) -> Router<Shared> {
    let document = openapi::document();
    let json = document.to_pretty_json().expect("the document has only texts, lists and maps");
    let page = docs::page(&document, public_url);
    let answer = |content_type: &'static str, body: String| {
        let body = bytes::Bytes::from(body);
        get(move || async move { ([(CONTENT_TYPE, content_type)], body).into_response() })
    };
    Router::new()
        .route("/api/openapi.json", answer("application/json", json))
        .route("/api/docs", get(move || async move { docs::answer(page) }))
        .route("/api/docs.css", answer("text/css; charset=utf-8", docs::STYLE.to_owned()))
}
