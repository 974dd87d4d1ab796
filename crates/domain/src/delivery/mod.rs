//! A delivery's life: its states, what a try can come to, and what is decided from that.

mod outcome;
mod state;
mod verdict;

pub use outcome::{ErrorClass, Outcome};
pub use state::{DeliveryState, InvalidTransition};
pub use verdict::{RETRY_AFTER_CAP_MS, Verdict, verdict};
