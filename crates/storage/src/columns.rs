//! Reading and writing columns whose text means something: words, JSON, patterns. What cannot be read is named, not guessed.

use std::str::FromStr;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Result, StoreError};

/// Longest list of things that are listed whole: sources, members, event types, keys.
pub(crate) const WHOLE_LIST: i64 = 1_000;

/// A word such as a state.
pub(crate) fn word<T: FromStr>(table: &'static str, column: &'static str, text: &str) -> Result<T> {
    text.parse().map_err(|_| StoreError::corrupt(table, column, format_args!("unknown word {text:?}")))
}

/// A structured value.
pub(crate) fn json<T: DeserializeOwned>(table: &'static str, column: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt(table, column, error))
}

/// The text of a structured value.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("wire types have text keys and no failing serializer")
}

/// A text as a pattern of `like … escape '\'`, which finds it anywhere in what stands in small letters.
pub(crate) fn anywhere(text: &str) -> String {
    let escaped = text.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// An HTTP status.
pub(crate) fn status(table: &'static str, value: Option<i64>) -> Result<Option<u16>> {
    value
        .map(|value| u16::try_from(value).map_err(|error| StoreError::corrupt(table, "response_status", error)))
        .transpose()
}
