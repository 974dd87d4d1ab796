//! Pages: how many rows, and from where.

use std::str::FromStr;

use domain::{
    Problems,
    api::{ApiError, ErrorCode, MAX_SEARCH_BYTES},
};

use crate::Result;

/// Rows of a page when the caller does not say.
const DEFAULT: u32 = 50;
/// Most rows of a page.
const MAX: u32 = 200;

/// Rows of the page.
pub(crate) fn limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(DEFAULT).clamp(1, MAX)
}

/// The row before the page: the last one of the page before it.
pub(crate) fn after<I: FromStr>(cursor: Option<&str>) -> Result<Option<I>> {
    let unreadable = |_| ApiError::new(ErrorCode::InvalidRequest, "The cursor is not one that this list gave out");
    cursor.map(|cursor| cursor.parse().map_err(unreadable)).transpose()
}

/// A text that payloads can be searched for.
pub(crate) fn search(text: Option<&String>) -> Result<()> {
    if text.is_some_and(|text| text.is_empty() || text.len() > MAX_SEARCH_BYTES) {
        return Err(Problems::one("text", format!("The text must have 1 to {MAX_SEARCH_BYTES} bytes")).into());
    }
    Ok(())
}
