//! What keys open over a page, as a download of its own: nobody needs it before they press one.

use leptos::{LazyViewError, prelude::*};

use super::{palette::Palette, shortcuts::ShortcutList};
use crate::keyboard::Overlays;

/// The palette, the list of keys, and the sign that a second key is awaited.
#[lazy(later_overlays, fallible)]
pub fn overlays_code(overlays: Overlays) -> Result<AnyView, LazyViewError> {
    let view = view! {
        <Palette open=overlays.palette />
        <ShortcutList overlays />
    };
    Ok(view.into_any())
}
