//! The entry point that the page's boot script calls. It wakes the server-rendered page and refuses to do anything else:
//! screens live in `app`.

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(message: &str);
}

/// Hydrates the page at this address, path and query. A panic is logged to the console, where a person can copy it and the browser tests fail on
/// it. A page whose code cannot be fetched stays as the server wrote it, which works by links and forms.
#[wasm_bindgen]
pub async fn hydrate(address: String) {
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
    if app::fetch_page(&address).await {
        leptos::mount::hydrate_body(app::App);
    }
}
