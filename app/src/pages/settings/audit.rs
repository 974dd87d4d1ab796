//! Who did what.

use domain::api::{AuditEntry, Page};
use leptos::prelude::*;

use crate::{components::pager::pager, time::Time};

/// One page of the log; `None` when it may not be seen.
pub fn table(page: Option<Page<AuditEntry>>, is_later_page: bool) -> AnyView {
    let Some(page) = page else {
        return view! { <p class="empty">"Only owners and admins read the audit log."</p> }.into_any();
    };
    let rows = page
        .data
        .into_iter()
        .map(|entry| {
            view! {
                <tr>
                    <td class="col-time">
                        <Time at=entry.at />
                    </td>
                    <td class="primary">{entry.actor}</td>
                    <td class="mono">{entry.action}</td>
                    <td class="mono muted truncate">{entry.subject}</td>
                    <td class="muted truncate">{entry.fields.join(", ")}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-wrap">
            <table class="table">
                <caption class="sr-only">"Audit log"</caption>
                <thead>
                    <tr>
                        <th scope="col" class="col-time">"Time"</th>
                        <th scope="col">"Who"</th>
                        <th scope="col">"What"</th>
                        <th scope="col">"To what"</th>
                        <th scope="col">"Fields"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        {pager("/settings", is_later_page, page.next_cursor.as_deref())}
    }
    .into_any()
}
