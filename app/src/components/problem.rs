//! What went wrong, why, and what to do, with the request id to copy.

use domain::api::ErrorCode;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

use super::{copy::CopyButton, heading::Heading, icon::icon};
use crate::error::CallError;

/// In place of the part of a page that could not be loaded.
pub fn problem(error: &CallError) -> AnyView {
    #[cfg(feature = "ssr")]
    crate::ssr::set_status(error);
    let location = use_location();
    let mut next = location.pathname.get_untracked();
    if !location.search.read_untracked().is_empty() {
        next = format!("{next}?{}", location.search.read_untracked());
    }
    let signed_out = error.is_signed_out();
    let request_id = error.0.request_id.clone();
    view! {
        <div class="notice notice-bad" role="alert">
            {icon("alert")}
            <div class="stack-tight">
                <strong>{error.0.title.clone()}</strong>
                <span>{error.0.detail.clone()}</span>
                {signed_out
                    .then(|| {
                        let href = format!("/login?next={}", encode(&next));
                        view! {
                            <a class="link" href=href rel="external">
                                "Sign in"
                            </a>
                        }
                    })}
                {request_id
                    .map(|id| {
                        view! {
                            <span class="row muted">
                                "Request " <code>{id.clone()}</code> <CopyButton text=id label="Copy request id" />
                            </span>
                        }
                    })}
            </div>
        </div>
    }
    .into_any()
}

/// In place of a whole page.
pub fn problem_page(error: &CallError) -> AnyView {
    let heading = match error.0.code {
        ErrorCode::NotFound => error.0.detail.clone(),
        _ => error.0.title.clone(),
    };
    view! {
        <div class="page">
            <Heading text=heading />
            {problem(error)}
            <p>
                <a class="link" href="/">
                    "Back to the overview"
                </a>
            </p>
        </div>
    }
    .into_any()
}

/// As a value in a query.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
    out
}
