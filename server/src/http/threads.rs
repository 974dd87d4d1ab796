//! Threads of their own for pages: making one takes milliseconds of computing, and nothing that is delivered waits for it.

use std::{panic::resume_unwind, sync::LazyLock, thread};

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use domain::api::ErrorCode;
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::problem::Problem;

/// As many as there are cores. `None` where the system gives no more: pages are made where requests come in.
static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = Builder::new_multi_thread().worker_threads(cores).thread_name("pages").enable_all().build();
    threads.inspect_err(|error| tracing::warn!(%error, "pages have no threads of their own")).ok()
});

/// Answers on those threads. A visitor who goes away ends the work.
pub async fn apart(request: Request, next: Next) -> Response {
    let Some(threads) = &*THREADS else { return next.run(request).await };
    let answer = threads.spawn(next.run(request).in_current_span());
    match AbortOnDropHandle::new(answer).await {
        Ok(response) => response,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Problem::new(ErrorCode::Unavailable, "The server is stopping").into_response(),
        },
    }
}
