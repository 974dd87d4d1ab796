//! What pages ask the server for. A Leptos resource for each type of answer was a large part of the download; here all answers are
//! resources of one type, and a page has only what reads its own.

use std::{
    any::Any,
    future::{Future, IntoFuture, ready},
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

#[cfg(not(feature = "ssr"))]
use leptos::server_fn::{ContentType, client::Client, codec::IntoReq};
use leptos::{prelude::*, server_fn::ServerFn};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::Error as _};
use serde_json::value::RawValue;

#[cfg(not(feature = "ssr"))]
use crate::codec::{Json, exchange};
use crate::{codec::read, error::CallError};

/// What was fetched, of whatever type.
type Fetched = Result<Data, CallError>;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What can be answered.
pub trait Content: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> Content for T {}

/// An answer of the server, or that there is none yet.
pub struct Answer<T> {
    data: Resource<Fetched>,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Answer<T> {}

impl<T: Content> Answer<T> {
    /// Asks as soon as it is made, and again whenever `source` changes. What the server asked for its own rendering, the browser
    /// does not ask again.
    pub fn new<S, F>(
        source: impl Fn() -> S + Send + Sync + 'static,
        fetch: impl Fn(S) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: PartialEq + Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, CallError>> + Send + 'static,
    {
        let (changes, asked) = watched(source);
        let fetch = move || {
            let answer = fetch(asked());
            Box::pin(async move { Ok(Data::Value(Arc::new(answer.await?))) }) as Boxed<Fetched>
        };
        Self { data: resource(Box::new(changes), Box::new(fetch)), of: PhantomData }
    }

    /// Asks a server function, or nothing if there are no arguments for it. A page that only hands the answer on to a part with
    /// code of its own does not need the code that reads it.
    pub fn asked<S, F>(
        source: impl Fn() -> S + Send + Sync + 'static,
        arguments: impl Fn(S) -> Option<F> + Send + Sync + 'static,
    ) -> Answer<Option<T>>
    where
        S: PartialEq + Clone + Send + Sync + 'static,
        F: Asked<T>,
    {
        let (changes, asked) = watched(source);
        let fetch = move || match arguments(asked()) {
            Some(function) => function.fetch(),
            None => Box::pin(ready(Ok(Data::Text("null".into())))),
        };
        Answer { data: resource(Box::new(changes), Box::new(fetch)), of: PhantomData }
    }

    /// What there is now, for effects and inside of what [`loaded`](crate::components::loaded) shows.
    pub fn get(self) -> Option<Result<T, CallError>> {
        self.data.get().map(|fetched| fetched?.to())
    }

    /// Shows what has come, an answer or an error, and again whenever it changes.
    pub fn shown(self, show: impl Fn(Result<T, CallError>) -> AnyView + Send + Sync + 'static) -> AnyView {
        shown(self.data, Arc::new(move |fetched| show(fetched.and_then(|data| data.to()))))
    }
}

impl<T: Content> IntoFuture for Answer<T> {
    type Output = Result<T, CallError>;
    type IntoFuture = Boxed<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.data.await?.to() })
    }
}

/// Whether a source has changed since it was last asked this, and what it said then.
fn watched<S>(
    source: impl Fn() -> S + Send + Sync + 'static,
) -> (impl Fn() -> bool + Send + Sync + 'static, impl Fn() -> S + Send + Sync + 'static)
where
    S: PartialEq + Clone + Send + Sync + 'static,
{
    let last = Arc::new(Mutex::new(None));
    let said = last.clone();
    let changes = move || {
        let now = Some(source());
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *last != now;
        *last = now;
        is_new
    };
    let asked = move || {
        let last = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.expect("whether it has changed is asked before anything is fetched")
    };
    (changes, asked)
}

/// A server function with its arguments, whose answer nobody has to read at once.
pub trait Asked<T>: Sized + 'static {
    /// Calls it.
    fn fetch(self) -> Boxed<Fetched>;
}

#[cfg(feature = "ssr")]
impl<T: Content, F: ServerFn<Error = CallError, Output = T> + 'static> Asked<T> for F {
    fn fetch(self) -> Boxed<Fetched> {
        Box::pin(async move { Ok(Data::Value(Arc::new(Some(self.run_body().await?)))) })
    }
}

#[cfg(not(feature = "ssr"))]
impl<T: Content, F> Asked<T> for F
where
    F: ServerFn<Error = CallError, Output = T, Client: Client<CallError> + 'static>
        + IntoReq<Json, <F::Client as Client<CallError>>::Request, CallError>
        + 'static,
{
    fn fetch(self) -> Boxed<Fetched> {
        let answer = exchange::<F::Client>(self.into_req(F::PATH, Json::CONTENT_TYPE));
        Box::pin(async move { Ok(Data::Text(answer.await?)) })
    }
}

fn resource(
    changes: Box<dyn Fn() -> bool + Send + Sync>,
    fetch: Box<dyn Fn() -> Boxed<Fetched> + Send + Sync>,
) -> Resource<Fetched> {
    let version = AtomicUsize::new(0);
    let source = move || {
        let change = usize::from(changes());
        version.fetch_add(change, Relaxed) + change
    };
    Resource::new(source, move |_| fetch())
}

fn shown(data: Resource<Fetched>, show: Arc<dyn Fn(Fetched) -> AnyView + Send + Sync>) -> AnyView {
    let view = move || {
        let show = show.clone();
        Suspend::new(async move { show(data.await) })
    };
    view.into_any()
}

/// A value of any type, as it was made or as the page brought it.
#[derive(Clone)]
pub enum Data {
    Value(Arc<dyn Value>),
    Text(Arc<str>),
}

impl Data {
    fn to<T: DeserializeOwned + Clone + 'static>(&self) -> Result<T, CallError> {
        match self {
            Self::Value(value) => {
                let value: &dyn Any = &**value;
                Ok(value.downcast_ref::<T>().expect("an answer is read as what it was made of").clone())
            }
            Self::Text(text) => read(text),
        }
    }
}

/// The server writes what it rendered into the page; the browser never writes.
pub trait Value: Any + Send + Sync {
    #[cfg(feature = "ssr")]
    fn text(&self) -> serde_json::Result<String>;
}

impl<T: Serialize + Any + Send + Sync> Value for T {
    #[cfg(feature = "ssr")]
    fn text(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = match self {
            #[cfg(feature = "ssr")]
            Self::Value(value) => value.text().map_err(S::Error::custom)?,
            #[cfg(not(feature = "ssr"))]
            Self::Value(_) => return Err(S::Error::custom("only the server writes")),
            Self::Text(text) => text.to_string(),
        };
        RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::Text(text.get().into()))
    }
}
