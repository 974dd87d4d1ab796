//! How screens call server functions: arguments as a form writes them ([`ByForm`]) or as JSON ([`ByJson`]), answers as JSON that
//! the browser reads as text. Resources are read as text too, so reading each type is in the download once and not twice.
//!
//! Leptos' own protocol makes the whole exchange once for each function, and with a hundred functions that was a fifth of the
//! download. Here a function has only what is its own: writing its arguments and reading its answer.

use std::{future::Future, marker::PhantomData, pin::Pin, sync::Arc};

use leptos::server_fn::{
    Bytes, ContentType, Decodes, Encodes, Format, FormatType, Http, Protocol,
    client::Client,
    codec::{IntoReq, Post, PostUrl},
    error::{FromServerFnError, IntoAppError, ServerFnErrorErr},
    redirect::call_redirect_hook,
    response::ClientRes,
    server::Server,
};
use serde::{
    Serialize,
    de::{DeserializeOwned, Error as _},
};

use crate::{error::CallError, objects};

/// For functions that forms call.
pub type ByForm = Call<PostUrl>;
/// For functions that only code calls.
pub type ByJson = Call<Json>;

/// JSON in the body of a `POST` and of its answer.
pub type Json = Post<JsonText>;

/// JSON that is read as text.
#[derive(Debug)]
pub struct JsonText;

impl ContentType for JsonText {
    const CONTENT_TYPE: &'static str = "application/json";
}

impl FormatType for JsonText {
    const FORMAT_TYPE: Format = Format::Text;
}

impl<T: Serialize> Encodes<T> for JsonText {
    type Error = serde_json::Error;

    fn encode(output: &T) -> Result<Bytes, Self::Error> {
        serde_json::to_vec(output).map(Bytes::from)
    }
}

impl<T: DeserializeOwned> Decodes<T> for JsonText {
    type Error = serde_json::Error;

    fn decode(bytes: Bytes) -> Result<T, Self::Error> {
        objects::from_str(str::from_utf8(&bytes).map_err(serde_json::Error::custom)?)
    }
}

/// A protocol whose arguments are written as `Arguments`, and whose answers are [`Json`].
#[derive(Debug)]
pub struct Call<Arguments>(PhantomData<Arguments>);

impl<Arguments, I, O, C, S> Protocol<I, O, C, S, CallError> for Call<Arguments>
where
    Http<Arguments, Json>: Protocol<I, O, C, S, CallError>,
    I: IntoReq<Arguments, C::Request, CallError> + Send,
    O: DeserializeOwned,
    C: Client<CallError> + 'static,
    S: Server<CallError>,
{
    const METHOD: http::Method = http::Method::POST;

    fn run_server<F, Fut>(
        request: S::Request,
        server_fn: F,
    ) -> impl Future<Output = Result<S::Response, CallError>> + Send
    where
        F: Fn(I) -> Fut + Send,
        Fut: Future<Output = Result<O, CallError>> + Send,
    {
        Http::<Arguments, Json>::run_server(request, server_fn)
    }

    fn run_client(path: &str, input: I) -> impl Future<Output = Result<O, CallError>> + Send {
        let answer = exchange::<C>(input.into_req(path, Json::CONTENT_TYPE));
        async move { read(&answer.await?) }
    }
}

/// What the server will have answered, not read yet.
pub type Exchange = Pin<Box<dyn Future<Output = Result<Arc<str>, CallError>> + Send>>;

/// Asks the server, and goes where the answer leads.
pub fn exchange<C: Client<CallError> + 'static>(request: Result<C::Request, CallError>) -> Exchange {
    Box::pin(async move {
        let response = C::send(request?).await?;
        let (status, location, leads_on) = (response.status(), response.location(), response.has_redirect());
        let body = response.try_into_bytes().await?;
        if leads_on {
            call_redirect_hook(&location);
        }
        if (400..600).contains(&status) {
            return Err(CallError::de(body));
        }
        str::from_utf8(&body).map(Arc::from).map_err(|error| unreadable(&error))
    })
}

/// Reads an answer.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, CallError> {
    objects::from_str(text).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::error::Error) -> CallError {
    ServerFnErrorErr::Deserialization(error.to_string()).into_app_error()
}
