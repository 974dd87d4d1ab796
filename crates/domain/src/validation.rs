//! How a refused input is described: one message per field, in the words of UC §16–17.

use serde::{Deserialize, Serialize};

/// Longest idempotency key, in characters.
const MAX_IDEMPOTENCY_KEY: usize = 255;
/// The words for a text that is no idempotency key.
pub const BAD_IDEMPOTENCY_KEY: &str = "An idempotency key has between 1 and 255 printable characters";

/// Whether a caller may name what is done once by this text.
pub fn is_idempotency_key(text: &str) -> bool {
    (1..=MAX_IDEMPOTENCY_KEY).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// One field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// Name of the field as it is sent, such as `name` or `events`.
    pub field: String,
    /// What is wrong and what to do, for people.
    pub message: String,
}

/// The field errors of one input, in the order in which a person meets the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<FieldError>);

impl Problems {
    /// Notes that `field` was refused.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError { field: field.to_owned(), message: message.into() });
    }

    /// Notes what was refused inside `field`.
    pub fn add_inside(&mut self, field: &str, checked: Result<(), Self>) {
        for inner in checked.err().unwrap_or_default().0 {
            self.add(&format!("{field}.{}", inner.field), inner.message);
        }
    }

    /// `Ok(value)` when nothing was noted.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The notes.
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    /// A single note.
    pub fn one(field: &str, message: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.add(field, message);
        problems
    }
}
