//! Waiting for data: a skeleton first, then the content or the problem. While newer data is fetched the old stays.

use leptos::prelude::*;

use super::problem::problem;
use crate::error::CallError;

/// What a page asked the server for.
pub type Answer<T> = Resource<Result<T, CallError>>;

/// Shows `answer` as soon as it is there.
pub fn loaded<T, V>(answer: Answer<T>, show: impl Fn(T) -> V + Clone + Send + Sync + 'static) -> AnyView
where
    T: Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    loaded_or(answer, show, problem)
}

/// Shows `answer` as soon as it is there, or `refused` if there is none.
pub fn loaded_or<T, V>(
    answer: Answer<T>,
    show: impl Fn(T) -> V + Clone + Send + Sync + 'static,
    refused: fn(&CallError) -> AnyView,
) -> AnyView
where
    T: Clone + Send + Sync + 'static,
    V: IntoView + 'static,
{
    view! {
        <Transition fallback=skeleton>
            {move || {
                let show = show.clone();
                Suspend::new(async move {
                    match answer.await {
                        Ok(value) => show(value).into_any(),
                        Err(error) => refused(&error),
                    }
                })
            }}
        </Transition>
    }
    .into_any()
}

fn skeleton() -> AnyView {
    view! {
        <div class="skeleton" aria-hidden="true">
            <i></i>
            <i></i>
            <i></i>
            <i></i>
        </div>
    }
    .into_any()
}
