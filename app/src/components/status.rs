//! States as icon, word and colour together, never as colour alone.

use domain::{
    WebhookState,
    api::{Attempt, Delivery, EmailState, ReceivedSignature},
    delivery::DeliveryState,
};
use leptos::prelude::*;

use super::icon::icon;

/// What a state means to a person at a glance; the name of its colour in the stylesheet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Failed.
    Bad,
    /// Needs an eye.
    Warn,
    /// On its way.
    Busy,
    /// At rest.
    Idle,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "status status-good",
            Self::Bad => "status status-bad",
            Self::Warn => "status status-warn",
            Self::Busy => "status status-busy",
            Self::Idle => "status",
        }
    }
}

/// An icon and a word in one colour.
pub fn status(tone: Tone, name: &'static str, word: &'static str) -> AnyView {
    view! { <span class=tone.class()>{icon(name)} {word}</span> }.into_any()
}

/// A delivery's state in one word.
pub const fn delivery_word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "Pending",
        DeliveryState::Sending => "Sending",
        DeliveryState::Retrying => "Retrying",
        DeliveryState::Delivered => "Delivered",
        DeliveryState::DeadLetter => "Dead letter",
        DeliveryState::Failed => "Failed",
        DeliveryState::Held => "Held",
        DeliveryState::Discarded => "Discarded",
    }
}

/// A delivery's state.
pub fn delivery_status(state: DeliveryState) -> AnyView {
    let (tone, name) = match state {
        DeliveryState::Pending => (Tone::Idle, "clock"),
        DeliveryState::Sending => (Tone::Busy, "send"),
        DeliveryState::Retrying => (Tone::Warn, "retry"),
        DeliveryState::Delivered => (Tone::Good, "check"),
        DeliveryState::DeadLetter => (Tone::Bad, "inbox"),
        DeliveryState::Failed => (Tone::Bad, "x"),
        DeliveryState::Held => (Tone::Idle, "pause"),
        DeliveryState::Discarded => (Tone::Idle, "trash"),
    };
    status(tone, name, delivery_word(state))
}

/// What became of an e-mail, in one or two words.
pub const fn email_word(state: EmailState) -> &'static str {
    match state {
        EmailState::Queued => "Queued",
        EmailState::Sent => "Sent",
        EmailState::Deferred => "Deferred",
        EmailState::Bounced => "Bounced",
        EmailState::Complained => "Reported as spam",
        EmailState::Suppressed => "Suppressed",
        EmailState::Failed => "Failed",
    }
}

/// What became of an e-mail.
pub fn email_status(state: EmailState) -> AnyView {
    let (tone, name) = match state {
        EmailState::Queued => (Tone::Idle, "clock"),
        EmailState::Sent => (Tone::Good, "check"),
        EmailState::Deferred => (Tone::Warn, "retry"),
        EmailState::Bounced | EmailState::Failed => (Tone::Bad, "x"),
        EmailState::Complained => (Tone::Bad, "alert"),
        EmailState::Suppressed => (Tone::Idle, "ban"),
    };
    status(tone, name, email_word(state))
}

/// A webhook's state.
pub fn webhook_status(state: WebhookState) -> AnyView {
    match state {
        WebhookState::Active => status(Tone::Good, "check", "Active"),
        WebhookState::Paused => status(Tone::Warn, "pause", "Paused"),
        WebhookState::Disabled => status(Tone::Idle, "ban", "Disabled"),
    }
}

/// What the Inspector thinks of a signature.
pub fn signature_status(verdict: ReceivedSignature) -> AnyView {
    match verdict {
        ReceivedSignature::Verified => status(Tone::Good, "check", "Verified"),
        ReceivedSignature::Invalid => status(Tone::Bad, "x", "Invalid signature"),
        ReceivedSignature::Missing => status(Tone::Idle, "minus", "Not signed"),
    }
}

/// `1 try`, `2,000 tries`.
pub fn count(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// `12,345`.
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = if number < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What HTTP calls a status.
pub const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

/// `200 OK`.
pub fn status_line(status: u16) -> String {
    format!("{status} {}", reason(status)).trim_end().to_owned()
}

/// What a try came to in a few words: the answer's status, or why there was none.
pub fn attempt_outcome(attempt: &Attempt) -> String {
    match (attempt.response_status, attempt.error) {
        (Some(status), _) => status_line(status),
        (None, Some(error)) => error.title().to_owned(),
        (None, None) => "No answer".to_owned(),
    }
}

/// What the last try of a delivery came to in a few words, and which retry it was.
pub fn delivery_outcome(delivery: &Delivery) -> String {
    let outcome = match (delivery.response_status, delivery.error) {
        (Some(status), _) => status_line(status),
        (None, Some(error)) => error.title().to_owned(),
        (None, None) => return "–".to_owned(),
    };
    if delivery.attempts > 1 { format!("{outcome} (retry {})", delivery.attempts - 1) } else { outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let grouped = [0, 999, 1_000, 123_456, 1_234_567, -1_000, -123_456].map(thousands);
        assert_eq!(grouped, ["0", "999", "1,000", "123,456", "1,234,567", "-1,000", "-123,456"]);
        assert_eq!((count(1, "try", "tries"), count(2_000, "try", "tries")), ("1 try".into(), "2,000 tries".into()));
    }
}
