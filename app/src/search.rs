//! Looking for a text among what a page has at hand.

/// Whether one of `texts` contains `search`, in large letters or small.
pub fn any_contains<'a>(texts: impl IntoIterator<Item = &'a str>, search: &str) -> bool {
    let search = lowercase(search);
    texts.into_iter().any(|text| lowercase(text).contains(&search))
}

/// The browser has a table of small letters; Rust's was a fortieth of what the list of webhooks loads.
#[cfg(feature = "hydrate")]
fn lowercase(text: &str) -> String {
    js_sys::JsString::from(text).to_lower_case().into()
}

#[cfg(not(feature = "hydrate"))]
fn lowercase(text: &str) -> String {
    text.to_lowercase()
}
