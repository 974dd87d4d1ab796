//! Public ids: a prefix that says what the thing is, and a UUIDv7 in base32 (the `TypeID` format, ADR 0003).
//!
//! Ids sort by the time they were made. They are never guessed from: authority comes from the organization they are
//! looked up in.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};
use uuid::Uuid;

/// A text that is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id: expected `{prefix}_` and 26 characters")]
pub struct IdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn write_suffix(uuid: Uuid, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = uuid.as_u128();
    let mut out = [0_u8; 26];
    for (index, byte) in out.iter_mut().enumerate() {
        let shift = (25 - index) * 5;
        *byte = ALPHABET[(value >> shift & 31) as usize];
    }
    f.write_str(std::str::from_utf8(&out).map_err(|_| fmt::Error)?)
}

fn parse_suffix(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    // 26 characters carry 130 bits; the first may use only three of its five.
    if bytes.len() != 26 || bytes[0] > b'7' {
        return None;
    }
    let mut value = 0_u128;
    for byte in bytes {
        let digit = ALPHABET.iter().position(|letter| letter == byte)?;
        value = value << 5 | digit as u128;
    }
    Some(Uuid::from_u128(value))
}

/// What every id type has in common, for code that handles any of them.
pub trait PublicId: Copy {
    /// The text before the underscore, such as `whk`.
    const PREFIX: &'static str;
    /// Wraps the UUID that is stored.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The UUID that is stored.
    fn uuid(self) -> Uuid;

    /// When it was made, to the millisecond: ids carry it.
    fn created_at(self) -> crate::Timestamp {
        // The first 48 bits of a UUIDv7, so they always fit.
        crate::Timestamp::from_millis(i64::try_from(self.uuid().as_u128() >> 80).unwrap_or(i64::MAX))
    }

    /// A new id from the time in milliseconds and random bytes, both given by the caller.
    fn new(now: crate::Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.millis()).unwrap_or_default();
        Self::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl PublicId for $name {
            const PREFIX: &'static str = $prefix;
            fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
            fn uuid(self) -> Uuid { self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                write_suffix(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(parse_suffix)
                    .map(Self)
                    .ok_or(IdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .examples([concat!($prefix, "_01h455vb4pex5vsknk084sn02q")])
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// A tenant.
    OrganizationId = "org";
    /// A person in an organization.
    MemberId = "mem";
    /// An API key; the key's secret is not derived from it.
    ApiKeyId = "key";
    /// What produces events: a service app or a task group.
    SourceId = "src";
    /// A subscription.
    WebhookId = "whk";
    /// An immutable fact; also the `webhook-id` header of its deliveries.
    EventId = "evt";
    /// One event on its way to one webhook.
    DeliveryId = "dlv";
    /// Work on many deliveries.
    JobId = "job";
    /// One request that the Inspector recorded.
    InspectorRequestId = "req";
    /// One entry of the audit log.
    AuditId = "aud";
    /// A configured provider.
    IntegrationId = "int";
    /// One entry of an integration's log.
    LogEntryId = "log";
    /// Something that somebody should look at.
    AlertId = "alt";
    /// An e-mail.
    EmailId = "eml";
    /// Words for e-mails.
    EmailTemplateId = "tpl";
    /// Integrations that stand in for each other.
    FailoverId = "fog";
    /// One move of work between them.
    FailoverMoveId = "fom";
    /// One run of one process: it owns leases, and a restart is another node.
    NodeId = "nod";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_the_typeid_specification() {
        // "valid.yml" of the TypeID specification: the case named `valid-uuidv7`.
        let uuid: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        assert_eq!(WebhookId::from_uuid(uuid).to_string(), "whk_01h455vb4pex5vsknk084sn02q");
        assert_eq!("whk_01h455vb4pex5vsknk084sn02q".parse(), Ok(WebhookId::from_uuid(uuid)));
    }

    #[test]
    fn refuses_what_is_not_its_own() {
        for text in [
            "",
            "whk_",
            "evt_01h455vb4pex5vsknk084sn02q",
            "whk_81h455vb4pex5vsknk084sn02q",
            "whk_01h455vb4pex5vsknk084sn02Q",
        ] {
            assert!(text.parse::<WebhookId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back(value: u128) {
            let id = EventId::from_uuid(Uuid::from_u128(value));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn text_sorts_as_the_uuid_does(a: u128, b: u128) {
            let (a, b) = (EventId::from_uuid(Uuid::from_u128(a)), EventId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
