//! Connections of integrations by OAuth 2.0.

use axum::{
    extract::State,
    http::{HeaderMap, header::SET_COOKIE},
    response::{IntoResponse, Response},
};
use domain::{
    IntegrationId,
    api::{
        Authorization, AuthorizationRequest, Calendar, ConnectionToken, Disconnected, OauthConnection, Page,
        SyncSettings,
    },
};
use engine::{Engine, Who};

use super::{
    super::{
        Shared,
        auth::{Caller, cookie},
        json::Json,
        problem::Problem,
        query::Id,
    },
    Answer, whole,
};

/// Show a connection
///
/// Whose account it is, what it has granted, how its access is kept alive, and the newest refreshes. Never its tokens.
#[utoipa::path(get, path = "/api/v1/integrations/{id}/oauth", tag = "Connections",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "The connection; one that was never made is `not_connected`", body = OauthConnection)))]
pub async fn show(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<OauthConnection> {
    Ok(Json(engine.oauth_connection(&actor, id).await?))
}

/// Begin to connect an account
///
/// With a session the answer is the provider's page, to be opened in the same browser within ten minutes. With an API key it
/// is a link of this server, which any browser may open, once, within a day. `scopes` asks for more than is granted; without
/// them the scopes of the settings are asked for.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/oauth/authorize", tag = "Connections",
    params(("id" = IntegrationId, Path, description = "The integration")),
    request_body(content = AuthorizationRequest, example = json!({"scopes": []})),
    responses((status = 200, description = "Where to go on", body = Authorization)))]
pub async fn authorize(
    State(Shared { engine, site }): State<Shared>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    headers: HeaderMap,
    Json(request): Json<AuthorizationRequest>,
) -> Result<Response, Problem> {
    if !matches!(actor.who, Who::Member { .. }) {
        return Ok(Json(engine.connect_link(&actor, id, request).await?).into_response());
    }
    let sent = engine.authorize(&actor, id, request, cookie(&headers, site.oauth_cookie())).await?;
    Ok(([(SET_COOKIE, site.oauth_cookie_for(&sent))], Json(sent.authorization)).into_response())
}

/// Make a link to connect an account
///
/// For a colleague who has the account and no access here. It can be used once, within a day.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/oauth/links", tag = "Connections",
    params(("id" = IntegrationId, Path, description = "The integration")),
    request_body(content = AuthorizationRequest, example = json!({"scopes": []})),
    responses((status = 200, description = "The link", body = Authorization)))]
pub async fn link(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(request): Json<AuthorizationRequest>,
) -> Answer<Authorization> {
    Ok(Json(engine.connect_link(&actor, id, request).await?))
}

/// Refresh a connection
///
/// Renews its access now. Usually nobody has to: it is renewed ahead of its end.
#[utoipa::path(post, path = "/api/v1/integrations/{id}/oauth/refresh", tag = "Connections",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "The connection as it is now", body = OauthConnection)))]
pub async fn refresh(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<OauthConnection> {
    Ok(Json(engine.refresh_connection(&actor, id).await?))
}

/// Change what is done with an account
#[utoipa::path(put, path = "/api/v1/integrations/{id}/oauth/sync", tag = "Connections",
    params(("id" = IntegrationId, Path, description = "The integration")),
    request_body(content = SyncSettings, example = json!({"auto_sync": true, "calendar": "primary"})),
    responses((status = 200, description = "The connection as it is now", body = OauthConnection)))]
pub async fn set_sync(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
    Json(sync): Json<SyncSettings>,
) -> Answer<OauthConnection> {
    Ok(Json(engine.set_sync(&actor, id, sync).await?))
}

/// List the calendars of an account
///
/// Asked of the provider now, with the connection's access.
#[utoipa::path(get, path = "/api/v1/integrations/{id}/oauth/calendars", tag = "Connections",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "At most 250", body = Page<Calendar>)))]
pub async fn calendars(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<Page<Calendar>> {
    Ok(whole(engine.calendars(&actor, id).await?))
}

/// Disconnect an account
///
/// Its tokens are erased here in any case. The answer says what became of the access at the provider.
#[utoipa::path(delete, path = "/api/v1/integrations/{id}/oauth", tag = "Connections",
    params(("id" = IntegrationId, Path, description = "The integration")),
    responses((status = 200, description = "What was done", body = Disconnected)))]
pub async fn disconnect(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<Disconnected> {
    Ok(Json(engine.disconnect(&actor, id).await?))
}

/// Get an access token
///
/// For a program that calls the provider's API with the connection. At least a minute of it is left, or half its life if
/// that is shorter. Do not store it: ask again. 409: somebody has to connect the account first. 503: the provider does not renew it at the moment.
#[utoipa::path(post, path = "/api/v1/connections/{id}/token", tag = "Connections",
    params(("id" = IntegrationId, Path, description = "The integration that is connected")),
    responses((status = 200, description = "The token", body = ConnectionToken)))]
pub async fn token(
    State(engine): State<Engine>,
    Caller(actor): Caller,
    Id(id): Id<IntegrationId>,
) -> Answer<ConnectionToken> {
    Ok(Json(engine.connection_token(&actor, id).await?))
}
