//! Query strings and ids in paths.
//!
//! A parameter that does not exist is refused: a misspelt filter must not silently list everything.

use axum::{
    extract::{FromRequestParts, Path, rejection::PathRejection},
    http::request::Parts,
};
use domain::{IdError, PublicId};
use domain::{
    Problems,
    api::{ApiError, ErrorCode},
};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use super::problem::Problem;

/// A query string, read into `T`.
pub struct Query<T>(pub T);

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows per page, 1–200; 50 when not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which providers of the catalogue.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CatalogueQuery {
    /// Those of this type.
    #[serde(rename = "type")]
    #[param(inline)]
    pub kind: Option<domain::catalogue::IntegrationType>,
}

impl<T: DeserializeOwned + IntoParams, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if !query.is_empty() {
            refuse_unknown::<T>(query)?;
            // No database takes it, and nothing has it in its name.
            if query.contains("%00") {
                return Err(refused("query", "A parameter holds a NUL character".to_owned()));
            }
        }
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, reason)| reason);
                let (field, reason) = text.split_once(": ").unwrap_or(("query", text));
                Err(refused(field, format!("{field}: {reason}")))
            }
        }
    }
}

fn refuse_unknown<T: IntoParams>(query: &str) -> Result<(), Problem> {
    let known: Vec<String> = T::into_params(|| None).into_iter().map(|parameter| parameter.name).collect();
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    for name in names.filter(|name| !name.is_empty()) {
        if !known.iter().any(|known| known == name) {
            return Err(refused(name, format!("There is no parameter {name}. There are: {}", known.join(", "))));
        }
    }
    Ok(())
}

fn refused(field: &str, detail: String) -> Problem {
    let errors = Problems::one(field, detail.as_str()).into_vec();
    ApiError { errors, ..ApiError::new(ErrorCode::InvalidRequest, detail) }.into()
}

/// The id in a path. What is not an id is something that is not there.
pub struct Id<T>(pub T);

impl<T: PublicId + std::str::FromStr<Err = IdError>, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|error| Problem::new(ErrorCode::NotFound, error.body_text()))?;
        parse_id(&text).map(Self)
    }
}

/// Reads one id of a path that has several.
pub fn parse_id<T: std::str::FromStr<Err = IdError>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::new(ErrorCode::NotFound, format!("\"{text}\" is {error}")))
}
