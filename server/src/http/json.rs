//! JSON bodies, in and out.
//!
//! What cannot be read is refused with where and why. Nothing is guessed: other content types, unknown fields and bytes
//! after the value are errors.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{
        HeaderMap, HeaderValue,
        header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT},
    },
    response::{IntoResponse, Response},
};
use domain::{
    MAX_EVENT_BYTES, PAYLOAD_TOO_LARGE, Problems,
    api::{ApiError, ErrorCode},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{body, problem::Problem};

/// A JSON body: read from a request, or written as an answer.
pub struct Json<T>(pub T);

/// A JSON body that may be missing; then it is the default.
pub struct OptionalJson<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response(),
            Err(error) => Problem::new(ErrorCode::Internal, error.to_string()).into_response(),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&read(request).await?).map(Self)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read(request).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(&bytes).map(Self) }
    }
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(ErrorCode::PayloadTooLarge, PAYLOAD_TOO_LARGE);
    let headers = request.headers();
    if let Some(other) = other_content_type(headers) {
        let detail = format!("The body has type {other}; send JSON, with Content-Type: application/json");
        return Err(Problem::new(ErrorCode::InvalidRequest, detail));
    }
    // Who asks before sending is told before sending.
    if headers.contains_key(EXPECT) && announced_bytes(headers).is_some_and(|bytes| bytes > MAX_EVENT_BYTES) {
        return Err(too_large());
    }
    match body::read(request.into_body(), MAX_EVENT_BYTES).await {
        Ok(read) if read.truncated => Err(too_large()),
        Ok(read) => Ok(read.bytes),
        Err(_) => Err(Problem::new(ErrorCode::InvalidRequest, "The body ended early")),
    }
}

fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The content type, when there is one and it is not JSON.
fn other_content_type(headers: &HeaderMap) -> Option<String> {
    let given = String::from_utf8_lossy(headers.get(CONTENT_TYPE)?.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (essence != "application/json" && !essence.ends_with("+json")).then(|| given.into_owned())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|_| Problem::from(explain::<T>(bytes)))
}

/// Why `bytes` is not a `T`. Parses again, keeping track of where: that costs too much to do it before it is needed.
fn explain<T: DeserializeOwned>(bytes: &[u8]) -> ApiError {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let (path, error) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => (error.path().to_string(), error.into_inner()),
        // The value is a good one, so it is what follows it.
        Ok(_) => match deserializer.end() {
            Err(error) => (String::new(), error),
            Ok(()) => return ApiError::new(ErrorCode::InvalidRequest, "The body cannot be read"),
        },
    };
    let invalid = |detail: String| ApiError::new(ErrorCode::InvalidRequest, detail);
    match error.classify() {
        serde_json::error::Category::Data => {
            let field = if path == "." { "body".to_owned() } else { path };
            let errors = Problems::one(&field, error.to_string()).into_vec();
            ApiError { errors, ..invalid(format!("{field}: {error}")) }
        }
        _ if bytes.is_empty() => invalid("The body is empty; send JSON".to_owned()),
        _ => invalid(format!("Invalid JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::api::EventDraft;

    #[test]
    fn says_where_and_why() {
        for (text, field, detail) in [
            ("", None, "The body is empty; send JSON"),
            ("{\"event\":", None, "Invalid JSON: EOF while parsing a value at line 1 column 9"),
            ("{\"event\":\"a\",}", None, "Invalid JSON: trailing comma at line 1 column 14"),
            ("{\"event\":\"a\",\"data\":1} x", None, "Invalid JSON: trailing characters at line 1 column 24"),
            ("{\"data\":1}", Some("body"), "body: missing field `event` at line 1 column 10"),
            (
                "{\"event\":7,\"data\":1}",
                Some("event"),
                "event: invalid type: integer `7`, expected a string at line 1 column 10",
            ),
            (
                "{\"evnt\":\"a\",\"data\":1}",
                Some("evnt"),
                "evnt: unknown field `evnt`, expected one of `event`, `data`, `source_id`, `idempotency_key` at line 1 \
                 column 7",
            ),
            (
                "{\"event\":\"a\",\"data\":1,\"source_id\":\"x\"}",
                Some("source_id"),
                "source_id: not a valid id: expected `src_` and 26 characters at line 1 column 38",
            ),
        ] {
            let error = explain::<EventDraft>(text.as_bytes());
            assert_eq!(error.detail, detail);
            assert_eq!(error.errors.first().map(|error| error.field.as_str()), field, "{text}");
        }
    }

    #[test]
    fn event_data_is_kept_as_it_was_sent() {
        let Ok(draft) = parse::<EventDraft>(br#"{"event":"a","data":{ "b" : 1.50 }}"#) else { panic!("it is valid") };
        assert_eq!(draft.data.get(), "{ \"b\" : 1.50 }");
    }
}
