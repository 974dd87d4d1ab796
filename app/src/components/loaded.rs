//! Waiting for data: a skeleton first, then the content or the problem. While newer data is fetched the old stays.

use leptos::prelude::*;

use super::problem::problem;
use crate::{
    answer::{Answer, Content},
    error::CallError,
};

/// Shows `answer` as soon as it is there.
pub fn loaded<T: Content, V: IntoView + 'static>(
    answer: Answer<T>,
    show: impl Fn(T) -> V + Send + Sync + 'static,
) -> AnyView {
    loaded_or(answer, show, problem)
}

/// Shows `answer` as soon as it is there, or `refused` if there is none.
pub fn loaded_or<T: Content, V: IntoView + 'static>(
    answer: Answer<T>,
    show: impl Fn(T) -> V + Send + Sync + 'static,
    refused: fn(&CallError) -> AnyView,
) -> AnyView {
    waiting(answer.shown(move |answer| match answer {
        Ok(value) => show(value).into_any(),
        Err(error) => refused(&error),
    }))
}

fn waiting(content: AnyView) -> AnyView {
    view! { <Transition fallback=skeleton>{content}</Transition> }.into_any()
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
