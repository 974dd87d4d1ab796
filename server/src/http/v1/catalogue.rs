//! The catalogue of providers: what can be integrated, and what its forms ask.

use axum::extract::State;
use domain::{api::Page, catalogue::Provider};
use engine::Engine;

use super::{
    super::{
        auth::Caller,
        query::{CatalogueQuery, Query},
    },
    Answer, whole,
};

/// List providers
///
/// What can be integrated: its form with the limits and the words of every field, how its health is probed, what its errors
/// mean and what helps. By type, then by name.
#[utoipa::path(get, path = "/api/v1/catalogue", tag = "Catalogue", params(CatalogueQuery),
    responses((status = 200, description = "All providers", body = Page<Provider>)))]
pub async fn list(
    State(engine): State<Engine>,
    Caller(_caller): Caller,
    Query(query): Query<CatalogueQuery>,
) -> Answer<Page<Provider>> {
    let wanted = engine.providers().filter(|provider| query.kind.is_none_or(|kind| provider.kind == kind));
    Ok(whole(wanted.cloned().collect()))
}
