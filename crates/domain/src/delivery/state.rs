//! The states of a delivery and the moves between them.
//!
//! ```text
//! pending → sending → delivered
//!             │ ↘ retrying → sending …            (retryable failure, attempts left)
//!             │ ↘ dead_letter → pending (retry)   (attempts spent, or not retryable; dead letters on)
//!             │ ↘ failed                          (the same with dead letters off)
//! held (webhook paused or disabled: keeps its queue)   discarded (cleared by a person, or out of time)
//! ```

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where a delivery is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DeliveryState {
    /// Waits for its first try, or for a try that a person asked for.
    Pending,
    /// Leased to a node that is trying it now.
    Sending,
    /// A try failed; waits until it is due again.
    Retrying,
    /// The receiver answered 2xx.
    Delivered,
    /// Given up; kept for a person to retry or clear.
    DeadLetter,
    /// Given up, and the organization keeps no dead letters.
    Failed,
    /// Its webhook is paused or disabled.
    Held,
    /// Cleared by a person, or older than its time-to-live.
    Discarded,
}

/// A move that a delivery in this state cannot make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a delivery that is {from} cannot become {to}")]
pub struct InvalidTransition {
    /// The state it is in.
    pub from: DeliveryState,
    /// The state that was asked for.
    pub to: DeliveryState,
}

impl DeliveryState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Sending,
        Self::Retrying,
        Self::Delivered,
        Self::DeadLetter,
        Self::Failed,
        Self::Held,
        Self::Discarded,
    ];

    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::DeadLetter => "dead_letter",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Discarded => "discarded",
        }
    }

    /// Whether nothing more happens unless a person asks for it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::DeadLetter | Self::Failed | Self::Discarded)
    }

    /// Moves to `to`, or refuses.
    pub fn to(self, to: Self) -> Result<Self, InvalidTransition> {
        use DeliveryState as S;
        let allowed = match self {
            S::Pending | S::Retrying => matches!(to, S::Sending | S::Held | S::Discarded),
            // Back to pending: its node stopped or died, or it was handed back unsent.
            S::Sending => {
                matches!(to, S::Delivered | S::Retrying | S::DeadLetter | S::Failed | S::Pending | S::Discarded)
            }
            S::Held => matches!(to, S::Pending | S::Discarded),
            S::DeadLetter => matches!(to, S::Pending | S::Discarded),
            // A replay is a new delivery, so what has ended well or was given up for good stays as it is.
            S::Delivered | S::Failed | S::Discarded => false,
        };
        if allowed { Ok(to) } else { Err(InvalidTransition { from: self, to }) }
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeliveryState {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_dead_letter_comes_back_from_the_end() {
        for from in DeliveryState::ALL.into_iter().filter(|state| state.is_final()) {
            for to in DeliveryState::ALL {
                let expected = from == DeliveryState::DeadLetter
                    && matches!(to, DeliveryState::Pending | DeliveryState::Discarded);
                assert_eq!(from.to(to).is_ok(), expected, "{from} to {to}");
            }
        }
    }

    #[test]
    fn nothing_is_delivered_without_being_sent() {
        for from in DeliveryState::ALL {
            assert_eq!(from.to(DeliveryState::Delivered).is_ok(), from == DeliveryState::Sending);
        }
    }

    #[test]
    fn names_are_read_back() {
        for state in DeliveryState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
