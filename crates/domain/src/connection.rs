//! Connections: what an account has granted to an integration by OAuth 2.0. When tokens are refreshed, what a refusal means,
//! and what is to be done then.

use crate::{Timestamp, words::words};

/// How long one node may be at the refresh of one connection, in milliseconds. Longer than [`REFRESH_DEADLINE_MS`], so that
/// its outcome can be stored.
pub const REFRESH_LEASE_MS: i64 = 30_000;
/// Deadline of one request to a token endpoint, in milliseconds.
pub const REFRESH_DEADLINE_MS: u32 = 10_000;
/// An access token that ends sooner is not given out, in milliseconds.
pub const LEAST_LEFT_MS: i64 = 60_000;
/// Longest margin before its end at which a token is refreshed, in milliseconds.
const LONGEST_AHEAD_MS: i64 = 15 * 60_000;
/// Shortest and longest pause after a failure that may pass, in milliseconds.
const BACKOFF_MS: (i64, i64) = (30_000, 30 * 60_000);
/// Days before the end of a consent at which somebody is told.
pub const CONSENT_WARNINGS_DAYS: [i64; 3] = [1, 7, 30];

words! {
    /// How a connection is.
    pub enum ConnectionStatus {
        /// No account has consented yet, or it was disconnected.
        NotConnected = "not_connected",
        /// It works, and goes on by itself.
        Connected = "connected",
        /// It works, and will end: nothing can refresh it, or its consent ends within 30 days.
        Expiring = "expiring",
        /// The owner of the account has to sign in again.
        NeedsReauth = "needs_reauth",
        /// The provider says that the grant has ended: its owner took it back, or it ran out. Connecting again mends it.
        Revoked = "revoked",
        /// The application itself is refused: its id, its secret or its redirect URI. Signing in again does not help.
        Misconfigured = "misconfigured",
    }

    /// What a refusal to refresh means.
    pub enum RefreshFault {
        /// It may pass: tried again, and the connection stays while its access token lives.
        Transient = "transient",
        /// The grant has ended.
        Revoked = "revoked",
        /// An answer with a new refresh token was lost, and the old one is no longer taken.
        LostRotation = "lost_rotation",
        /// The application is refused.
        Configuration = "configuration",
        /// The scopes are refused.
        Scope = "scope",
        /// A policy of the account's organization asks for something first.
        Policy = "policy",
    }

    /// What became of the right at the provider when a connection was ended.
    pub enum Revocation {
        /// The provider has ended it.
        Revoked = "revoked",
        /// The provider has no way to end it from here.
        Unsupported = "unsupported",
        /// Not asked for: another connection lives by the same grant.
        SkippedShared = "skipped_shared",
        /// The provider could not be asked; it is tried again.
        Failed = "failed",
        /// There was nothing to end.
        Nothing = "nothing",
    }
}

impl ConnectionStatus {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotConnected => "Not connected",
            Self::Connected => "Connected",
            Self::Expiring => "Expiring",
            Self::NeedsReauth => "Needs re-authentication",
            Self::Revoked => "Revoked",
            Self::Misconfigured => "Misconfigured",
        }
    }

    /// Whether its access token may be used.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Connected | Self::Expiring)
    }
}

impl RefreshFault {
    /// From what a token endpoint answered: its status, and `error` and `error_description` of its body. Without a status
    /// there was no answer.
    pub fn of(status: Option<u16>, error: &str, description: &str) -> Self {
        let said = description.to_lowercase();
        // AADSTS…: Microsoft asks for another factor, a compliant device or a consent of its administrators.
        let is_policy = ["aadsts50076", "aadsts50079", "aadsts53003", "aadsts65001", "ip restricted"];
        match error {
            "interaction_required" | "consent_required" | "login_required" => Self::Policy,
            _ if is_policy.iter().any(|text| said.contains(text)) => Self::Policy,
            "invalid_grant" | "bad_refresh_token" => Self::Revoked,
            "invalid_client" | "unauthorized_client" | "invalid_request" | "redirect_uri_mismatch" => {
                Self::Configuration
            }
            "invalid_scope" => Self::Scope,
            "temporarily_unavailable" | "server_error" | "slow_down" => Self::Transient,
            _ => match status {
                Some(401 | 403) => Self::Configuration,
                _ => Self::Transient,
            },
        }
    }

    /// How the connection is after it. `None`: as before, for as long as its access token lives.
    pub const fn status(self) -> Option<ConnectionStatus> {
        match self {
            Self::Transient => None,
            Self::Revoked => Some(ConnectionStatus::Revoked),
            Self::LostRotation | Self::Scope | Self::Policy => Some(ConnectionStatus::NeedsReauth),
            Self::Configuration => Some(ConnectionStatus::Misconfigured),
        }
    }

    /// What people are told. `provider` is its name.
    pub fn message(self, provider: &str) -> String {
        match self {
            Self::Transient => format!("{provider} did not renew the access; it is tried again"),
            // The words of UC §16.
            Self::Revoked => format!("Please reconnect your {provider} account"),
            Self::LostRotation => format!(
                "Please reconnect your {provider} account: an answer with a new refresh token was lost on its way"
            ),
            Self::Configuration => {
                format!("{provider} does not accept the application: check client ID, client secret and redirect URI")
            }
            Self::Scope => format!("{provider} does not grant the permissions any more: reconnect the account"),
            Self::Policy => format!("{provider} asks the owner of the account to sign in again"),
        }
    }
}

/// When a token is refreshed that was given at `now` and lives for `lifetime_ms`: ahead of its end by 15 minutes or half its
/// life, whichever is less, ±10 % by `share` (0–1), so that tokens that came together are not refreshed together.
pub fn refresh_at(now: Timestamp, lifetime_ms: i64, share: f64) -> Timestamp {
    let ahead = LONGEST_AHEAD_MS.min(lifetime_ms / 2);
    now.plus_ms(lifetime_ms - jittered(ahead, share))
}

/// When a refresh that failed for the `failures`th time in a row is tried again: after 30 s, doubling, at most 30 minutes.
/// With `in_use_until`, the end of an access token whose grant a repeated refresh token would end, not before less than a minute
/// of that is left.
pub fn retry_at(now: Timestamp, failures: u32, share: f64, in_use_until: Option<Timestamp>) -> Timestamp {
    let doubled = BACKOFF_MS.0.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let next = now.plus_ms(jittered(doubled.min(BACKOFF_MS.1), share));
    in_use_until.map_or(next, |end| next.max(end.plus_ms(-LEAST_LEFT_MS)))
}

fn jittered(ms: i64, share: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "minutes are far below 2^52 ms")]
    let moved = (ms as f64 * (0.9 + 0.2 * share.clamp(0.0, 1.0))) as i64;
    moved
}

/// The warning that is due so many milliseconds before a consent ends: the days that it announces.
pub fn consent_warning(left_ms: i64) -> Option<i64> {
    CONSENT_WARNINGS_DAYS.into_iter().find(|days| left_ms <= days * 86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[test]
    fn classes_are_those_of_the_standards_and_of_the_providers() {
        for (status, error, description, expected) in [
            (Some(400), "invalid_grant", "Token has been expired or revoked.", RefreshFault::Revoked),
            (Some(401), "invalid_client", "", RefreshFault::Configuration),
            (Some(400), "invalid_grant", "AADSTS50076: Due to a configuration change…", RefreshFault::Policy),
            (Some(400), "interaction_required", "", RefreshFault::Policy),
            (Some(400), "invalid_scope", "", RefreshFault::Scope),
            (Some(503), "", "", RefreshFault::Transient),
            (Some(429), "", "", RefreshFault::Transient),
            (Some(400), "temporarily_unavailable", "", RefreshFault::Transient),
            (Some(403), "", "", RefreshFault::Configuration),
            (Some(200), "", "garbage", RefreshFault::Transient),
            (None, "", "no answer in time", RefreshFault::Transient),
        ] {
            assert_eq!(RefreshFault::of(status, error, description), expected, "{status:?} {error} {description}");
        }
        assert_eq!(RefreshFault::Revoked.message("Google"), "Please reconnect your Google account");
        assert_eq!(RefreshFault::Transient.status(), None);
    }

    #[test]
    fn warnings_come_at_30_7_and_1_days() {
        let day = 86_400_000;
        for (left, warning) in [(31, None), (30, Some(30)), (8, Some(30)), (7, Some(7)), (1, Some(1)), (0, Some(1))] {
            assert_eq!(consent_warning(left * day), warning, "{left}");
        }
    }

    proptest! {
        /// A token is never stale when it is born, and never left until its end.
        #[test]
        fn tokens_are_refreshed_while_they_live(lifetime in 1_000_i64..100_000_000, share in 0.0..1.0_f64) {
            let at = refresh_at(NOW, lifetime, share);
            prop_assert!(at > NOW && at < NOW.plus_ms(lifetime));
            prop_assert!(at >= NOW.plus_ms(lifetime - 990_000));
        }

        #[test]
        fn failures_are_repeated_ever_more_slowly(failures in 1_u32..100, share in 0.0..1.0_f64, left in 0_i64..7_200_000) {
            let end = NOW.plus_ms(left);
            let next = retry_at(NOW, failures, share, None);
            prop_assert!(next >= NOW.plus_ms(27_000) && next <= NOW.plus_ms(33 * 60_000));
            let careful = retry_at(NOW, failures, share, Some(end));
            prop_assert!(careful >= next && careful >= end.plus_ms(-LEAST_LEFT_MS));
        }
    }
}
