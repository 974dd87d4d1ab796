//! Pages of a list: newest first, by UUIDv7. A page costs the same however far back it lies, which is why there is no
//! offset.

use domain::{PublicId, Timestamp, api::Page};
use uuid::Uuid;

use crate::{Result, StoreError};

/// The smallest id that can have been made at `at`: a bound for `from` and `to`.
pub(crate) fn first_id(at: Timestamp) -> Uuid {
    Uuid::from_u128(u128::from(at.millis().clamp(0, (1 << 48) - 1).unsigned_abs()) << 80)
}

/// The id that rows of the page come before; above every id for the first page.
pub(crate) fn before<I: PublicId>(cursor: Option<I>) -> Uuid {
    cursor.map_or(Uuid::max(), PublicId::uuid)
}

/// Rows to ask for, to know whether there is a next page.
pub(crate) fn one_more(limit: u32) -> i64 {
    i64::from(limit) + 1
}

/// Makes a page from up to [`one_more`] rows.
pub(crate) fn page<R, T: TryFrom<R, Error = StoreError>>(
    mut rows: Vec<R>,
    limit: u32,
    cursor: impl Fn(&T) -> String,
) -> Result<Page<T>> {
    let limit = limit as usize;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let data = all(rows)?;
    let next_cursor = if more { data.last().map(cursor) } else { None };
    Ok(Page { data, next_cursor })
}

/// The page of a search that went no further down than `floor`: from there it goes on.
pub(crate) fn down_to<T, I: ToString>(page: Page<T>, floor: Option<I>) -> Page<T> {
    Page { next_cursor: page.next_cursor.or_else(|| Some(floor?.to_string())), ..page }
}

/// Reads every row.
pub(crate) fn all<R, T: TryFrom<R, Error = StoreError>>(rows: Vec<R>) -> Result<Vec<T>> {
    rows.into_iter().map(T::try_from).collect()
}
