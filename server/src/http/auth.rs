//! Who calls, and whether they may.
//!
//! A route declares what it needs ([`needs`], [`signed_in`]) where it is listed, in [`super::router`]. A handler that
//! takes a [`Caller`] gets one only if the declaration is met, and without a declaration never: what was forgotten is
//! closed, not open. The engine asks again, so that the screens stand under the same rule.

use axum::{
    Extension,
    extract::FromRequestParts,
    http::{
        HeaderMap,
        header::{AUTHORIZATION, COOKIE},
        request::Parts,
    },
};
use domain::{Permission, Role, Scope, api::ErrorCode};
use engine::Actor;
use utoipa::openapi::{extensions::Extensions, path::Operation, security::SecurityRequirement};
use utoipa_axum::router::UtoipaMethodRouter;

use super::{Shared, Site, openapi, origin, problem::Problem};

/// Under this name the document says which permission an operation needs.
pub const PERMISSION: &str = "x-permission";

/// What a route asks of its caller; `None`: only that there is one.
#[derive(Debug, Clone, Copy)]
pub struct Needs(pub Option<Permission>);

/// Declares that callers of `route` need `permission`, and says so in the document.
pub fn needs(permission: Permission, route: UtoipaMethodRouter<Shared>) -> UtoipaMethodRouter<Shared> {
    let least = Role::ALL.into_iter().rev().find(|role| role.may(permission)).unwrap_or(Role::Owner);
    let scopes: Vec<&str> = Scope::ALL.into_iter().filter(|scope| scope.may(permission)).map(Scope::as_str).collect();
    let who = match scopes.as_slice() {
        [] => format!("Who may: members with role {least} or above. No API key."),
        scopes => {
            format!("Who may: members with role {least} or above; API keys with scope `{}`.", scopes.join("` or `"))
        }
    };
    guarded(Some(permission), &who, route)
}

/// Declares that `route` is for everybody who is known.
pub fn signed_in(route: UtoipaMethodRouter<Shared>) -> UtoipaMethodRouter<Shared> {
    guarded(None, "Who may: every member and every API key.", route)
}

fn guarded(
    permission: Option<Permission>,
    who: &str,
    (schemas, mut paths, methods): UtoipaMethodRouter<Shared>,
) -> UtoipaMethodRouter<Shared> {
    openapi::each_operation(&mut paths, |_, operation: &mut Operation| {
        let description = operation.description.take().filter(|text| !text.is_empty());
        operation.description = Some(description.map_or(who.to_owned(), |text| format!("{text}\n\n{who}")));
        operation.security = Some(vec![
            SecurityRequirement::new::<_, _, String>("api_key", []),
            SecurityRequirement::new::<_, _, String>("session", []),
        ]);
        let name = permission.map_or("SignedIn".to_owned(), |permission| format!("{permission:?}"));
        operation.extensions.get_or_insert_with(Extensions::default).insert(PERMISSION.to_owned(), name.into());
    });
    (schemas, paths, methods.route_layer(Extension(Needs(permission))))
}

/// The caller of a route, known and entitled to call it.
pub struct Caller(pub Actor);

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let Some(&Needs(permission)) = parts.extensions.get::<Needs>() else {
            return Err(Problem::new(ErrorCode::Internal, "This route declares no permission"));
        };
        let actor = identify(parts, shared).await?;
        if let Some(permission) = permission {
            actor.require(permission)?;
        }
        Ok(Self(actor))
    }
}

async fn identify(parts: &Parts, Shared { engine, site }: &Shared) -> Result<Actor, Problem> {
    if let Some(header) = parts.headers.get(AUTHORIZATION) {
        let key = header.to_str().ok().and_then(|text| {
            let (scheme, key) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        });
        let Some(key) = key else {
            return Err(unauthorized("The Authorization header must be: Bearer <API key>"));
        };
        return engine.api_key(key).await?.ok_or_else(|| unauthorized("The API key is unknown, revoked or expired"));
    }
    let Some(token) = session_token(&parts.headers, site) else {
        return Err(unauthorized("Sign in, or send an API key in the header Authorization: Bearer <API key>"));
    };
    let actor = engine.session(token).await?.ok_or_else(|| unauthorized("The session has ended; sign in again"))?;
    if !origin::is_safe(&parts.method) {
        origin::refuse_foreign(&parts.headers, &site.public_url, true)?;
    }
    Ok(actor)
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(ErrorCode::Unauthorized, detail)
}

/// The session token in the cookies.
pub fn session_token<'a>(headers: &'a HeaderMap, site: &Site) -> Option<&'a str> {
    cookie(headers, site.session_cookie())
}

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(name)?.strip_prefix('='))
}
