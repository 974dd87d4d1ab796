//! What a negative reply means for health, failover and retries.

use domain::catalogue::Fault;

use super::Stage;

/// Words by which servers say that a rate or a quota of ours is spent. A full mailbox of a recipient also speaks of a quota.
const RATE_WORDS: [&str; 9] = [
    "too many",
    "throttl",
    "rate limit",
    "ratelimit",
    "rate exceeded",
    "sending rate",
    "sending quota",
    "sending limit",
    "daily message quota",
];

/// The class of a negative reply.
pub(super) fn fault_of(stage: Stage, code: u16, text: &str) -> Fault {
    let text = text.to_lowercase();
    if code == 429 || RATE_WORDS.iter().any(|words| text.contains(words)) {
        return Fault::RateLimited;
    }
    match (stage, code) {
        (_, 530 | 534 | 535 | 538) => Fault::Authentication,
        (Stage::SignIn, 500..) => Fault::Authentication,
        (Stage::Encrypt, _) => Fault::Tls,
        (_, 421 | 451 | 454) => Fault::Outage,
        // Before it knows what is sent and to whom, it can only mean itself, or us.
        (Stage::Connect | Stage::Greeting | Stage::Hello | Stage::SignIn, _) => Fault::Outage,
        (Stage::Sender | Stage::Recipient | Stage::Message | Stage::Accepted, _) => Fault::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_classified() {
        for (stage, code, text, fault) in [
            (Stage::Greeting, 421, "too busy", Fault::Outage),
            (Stage::Greeting, 554, "no service here", Fault::Outage),
            (Stage::Encrypt, 454, "TLS not available", Fault::Tls),
            (Stage::SignIn, 535, "Authentication failed", Fault::Authentication),
            (Stage::SignIn, 534, "use an app password", Fault::Authentication),
            (Stage::SignIn, 454, "Temporary authentication failure", Fault::Outage),
            (Stage::Sender, 530, "Authentication required", Fault::Authentication),
            (Stage::Sender, 550, "The from address does not match a verified Sender Identity", Fault::Rejected),
            (Stage::Recipient, 550, "5.1.1 no such user", Fault::Rejected),
            (Stage::Recipient, 452, "4.2.2 The recipient's mailbox is over quota", Fault::Rejected),
            (Stage::Recipient, 451, "local error", Fault::Outage),
            (Stage::Accepted, 552, "too large", Fault::Rejected),
            (Stage::Accepted, 454, "Throttling failure: Maximum sending rate exceeded.", Fault::RateLimited),
            (Stage::Accepted, 550, "5.4.5 Daily sending quota exceeded", Fault::RateLimited),
            (Stage::Greeting, 421, "Too many connections", Fault::RateLimited),
        ] {
            assert_eq!(fault_of(stage, code, text), fault, "{stage:?} {code} {text}");
        }
    }
}
