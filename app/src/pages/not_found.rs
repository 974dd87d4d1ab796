//! Every address that is none.

use domain::api::{ApiError, ErrorCode};
use leptos::prelude::*;

use crate::{components::problem::problem_page, error::CallError};

/// The page for addresses that lead nowhere.
#[component]
pub fn NotFound() -> AnyView {
    let detail = "There is no page at this address.";
    problem_page(&CallError(ApiError {
        title: detail.to_owned(),
        ..ApiError::new(ErrorCode::NotFound, "Page not found")
    }))
}
