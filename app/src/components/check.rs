//! Checking a form in the browser before it is sent, by the server's own rules and in its words. The rules are a download of
//! their own: nobody needs them to read a page, and whoever is faster than they are is refused by the server.

use std::pin::Pin;

use domain::Problems;
use leptos::{LazyViewError, ev, prelude::*, task::spawn_local};
use wasm_bindgen::JsCast;

use super::field::Refusal;

/// What is wrong with the form of this event.
pub type Rules = Box<dyn Fn(&ev::SubmitEvent) -> Result<(), Problems> + Send + Sync>;

/// A download of rules.
type Fetched = Pin<Box<dyn Future<Output = Result<Rules, LazyViewError>>>>;

/// Fetches the rules when somebody begins to fill the form in, and keeps a form from being sent that they refuse. A form that is
/// sent before they are here waits for them; if they cannot be fetched, it is for the server to refuse it.
pub fn checked(
    refusal: Refusal,
    fetch: impl Fn() -> Fetched + Send + Sync + 'static,
) -> (impl Fn(ev::FocusEvent) + 'static, impl Fn(ev::SubmitEvent) + 'static) {
    let (fetch, rules) = (StoredValue::new(fetch), StoredValue::new(None::<Rules>));
    let prepare = move || async move {
        if rules.with_value(Option::is_none) {
            let fetched = fetch.with_value(|fetch| fetch()).await;
            // The page may be gone by now.
            _ = rules.try_set_value(Some(fetched.unwrap_or_else(|_| Box::new(|_| Ok(())))));
        }
    };
    let check = move |event: ev::SubmitEvent| {
        if rules.with_value(Option::is_some) {
            let found = rules.with_value(|rules| rules.as_ref().map_or(Ok(()), |rules| rules(&event)));
            if refusal.check(found) {
                event.prevent_default();
            }
            return;
        }
        event.prevent_default();
        let form = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlFormElement>().ok());
        spawn_local(async move {
            prepare().await;
            if let Some(form) = form {
                let button = event.submitter().and_then(|button| button.dyn_into::<web_sys::HtmlElement>().ok());
                _ = form.request_submit_with_submitter(button.as_ref());
            }
        });
    };
    (move |_| spawn_local(prepare()), check)
}
