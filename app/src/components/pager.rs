//! Links to the newest page and to the next one. Pages are found by cursor, so that they stay put while new rows arrive; there
//! are no page numbers to be wrong.

use leptos::prelude::*;

use super::{icon::icon, problem::encode};

/// The links. `path` is the address without a cursor.
pub fn pager(path: &str, is_later_page: bool, next_cursor: Option<&str>) -> AnyView {
    let join = if path.contains('?') { '&' } else { '?' };
    let next = next_cursor.map(|cursor| format!("{path}{join}cursor={}", encode(cursor)));
    if !is_later_page && next.is_none() {
        return ().into_any();
    }
    let newest = is_later_page.then(|| {
        view! {
            <a class="btn btn-sm" href=path.to_owned()>
                {icon("chevron-left")}
                "Newest"
            </a>
        }
    });
    let next = next.map(|href| {
        view! {
            <a class="btn btn-sm" href=href rel="next">
                "Older"
                {icon("chevron-right")}
            </a>
        }
    });
    view! {
        <nav class="pager" aria-label="Pages">
            {newest}
            {next}
        </nav>
    }
    .into_any()
}
