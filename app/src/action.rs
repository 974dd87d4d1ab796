//! What forms and buttons ask the server to do: [`ServerAction`] and [`ActionForm`] as Leptos has them, with one copy of their code
//! for all server functions, where Leptos makes one for each. The fields of a form go to the server as the browser writes them,
//! with JavaScript as without; only the server reads them.

use std::{marker::PhantomData, sync::Arc};

use domain::api::ApiError;
use leptos::{
    ev::SubmitEvent,
    form::form_data_from_event,
    html,
    prelude::*,
    server_fn::{
        ContentType, ServerFn,
        client::Client,
        codec::{IntoReq, PostUrl},
        error::ServerFnUrlError,
        request::ClientReq,
    },
    task::spawn_local,
};
use serde::de::DeserializeOwned;
use web_sys::UrlSearchParams;

use crate::{
    codec::{Exchange, Json, exchange, read},
    error::CallError,
};

/// A server function that a form or a button calls. It outlives neither the page that made it nor its answers.
pub struct ServerAction<S> {
    state: StoredValue<State>,
    function: PhantomData<fn() -> S>,
}

impl<S> Clone for ServerAction<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for ServerAction<S> {}

impl<S: ServerFn<Error = CallError>> ServerAction<S> {
    /// Not called yet, unless the page is the answer to its form, posted without JavaScript and refused.
    pub fn new() -> Self {
        Self { state: StoredValue::new(State::new(S::PATH)), function: PhantomData }
    }
}

impl<S> ServerAction<S> {
    fn state(self) -> State {
        self.state.get_value()
    }

    /// Whether an answer is awaited.
    pub fn pending(self) -> Signal<bool> {
        self.state().pending()
    }

    /// How many answers have come.
    pub fn version(self) -> ReadSignal<u32> {
        self.state().version.read_only()
    }

    /// How many of the answers were successes: a refused form keeps what was typed, so only a success is a reason to fetch again.
    pub fn successes(self) -> ReadSignal<u32> {
        self.state().successes.read_only()
    }

    /// Why the last call was refused.
    pub fn refusal(self) -> Signal<Option<ApiError>> {
        self.state().refusal()
    }

    /// Acts on every success, whatever was answered.
    pub fn after_success(self, act: impl Fn() + 'static) {
        self.state().after_success(Box::new(move |_| act()));
    }
}

impl<S> ServerAction<S>
where
    S: ServerFn<Error = CallError, Output: DeserializeOwned>,
{
    /// The last answer; none before the first.
    pub fn answer(self) -> Option<Result<S::Output, CallError>> {
        let answer = self.state().answer.get()?;
        Some(answer.and_then(|text| read(&text)))
    }

    /// Acts on the answer of every success; one that cannot be read is a refusal.
    pub fn on_success(self, act: impl Fn(S::Output) + 'static) {
        let state = self.state();
        state.after_success(Box::new(move |text| match read(text) {
            Ok(answer) => act(answer),
            Err(unreadable) => state.answer.set(Some(Err(unreadable))),
        }));
    }
}

impl<S> ServerAction<S>
where
    S: ServerFn<Error = CallError, Client: Client<CallError> + 'static>,
{
    /// Calls it from code.
    pub fn dispatch(self, input: S)
    where
        S: IntoReq<PostUrl, <S::Client as Client<CallError>>::Request, CallError>,
    {
        self.state().send(exchange::<S::Client>(input.into_req(S::PATH, Json::CONTENT_TYPE)));
    }
}

/// A form that calls a server function, and works without JavaScript too.
#[component]
pub fn ActionForm<S>(
    /// What it calls.
    action: ServerAction<S>,
    /// Where the form is kept.
    #[prop(optional)]
    node_ref: NodeRef<html::Form>,
    /// Its fields.
    children: Children,
) -> AnyView
where
    S: ServerFn<Error = CallError, Client: Client<CallError> + 'static> + 'static,
{
    form(action.state(), State::submit::<S::Client>, node_ref, children)
}

fn form(state: State, submit: fn(State, &SubmitEvent), node_ref: NodeRef<html::Form>, children: Children) -> AnyView {
    view! {
        <form method="post" action=state.path node_ref=node_ref on:submit=move |event| submit(state, &event)>
            {children()}
        </form>
    }
    .into_any()
}

/// A [`ServerAction`] without the types of its function.
#[derive(Clone, Copy)]
struct State {
    path: &'static str,
    in_flight: RwSignal<u32>,
    /// The number of the last call: the answer to an earlier one is out of date.
    sent: StoredValue<u32>,
    version: RwSignal<u32>,
    successes: RwSignal<u32>,
    answer: RwSignal<Option<Result<Arc<str>, CallError>>>,
}

impl State {
    fn new(path: &'static str) -> Self {
        let posted = use_context::<ServerActionError>().filter(|error| error.path() == path);
        let refused = posted.map(|error| Err(ServerFnUrlError::decode_err(error.err())));
        Self {
            path,
            in_flight: RwSignal::new(0),
            sent: StoredValue::new(0),
            version: RwSignal::new(0),
            successes: RwSignal::new(0),
            answer: RwSignal::new(refused),
        }
    }

    fn pending(self) -> Signal<bool> {
        Signal::derive(move || self.in_flight.get() > 0)
    }

    fn refusal(self) -> Signal<Option<ApiError>> {
        Signal::derive(move || self.answer.with(|answer| answer.as_ref()?.as_ref().err().map(|error| error.0.clone())))
    }

    fn after_success(self, act: Box<dyn Fn(&str)>) {
        Effect::new(move |_| {
            if let Some(Ok(text)) = self.answer.get() {
                act(&text);
            }
        });
    }

    fn submit<C: Client<CallError> + 'static>(self, event: &SubmitEvent) {
        if event.default_prevented() {
            return;
        }
        event.prevent_default();
        let Ok(data) = form_data_from_event(event) else { return };
        let Ok(fields) = UrlSearchParams::new_with_str_sequence_sequence(&data) else { return };
        let body = fields.to_string().into();
        let request = C::Request::try_new_post(self.path, PostUrl::CONTENT_TYPE, Json::CONTENT_TYPE, body);
        self.send(exchange::<C>(request));
    }

    fn send(self, exchange: Exchange) {
        self.in_flight.update(|count| *count += 1);
        self.sent.update_value(|number| *number += 1);
        let number = self.sent.get_value();
        spawn_local(async move {
            let answer = exchange.await;
            // None of it is there any more when the page was left meanwhile.
            self.in_flight.update(|count| *count -= 1);
            if self.sent.try_get_value() == Some(number) {
                self.version.update(|version| *version += 1);
                self.successes.update(|count| *count += u32::from(answer.is_ok()));
                self.answer.set(Some(answer));
            }
        });
    }
}
