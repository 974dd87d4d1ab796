//! Connections as they are read, and what is asked of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ConnectionStatus, RefreshFault, Revocation, Timestamp};

/// The connection of an integration: whose account it is, what it has granted, and how it is kept alive. Tokens are never
/// in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OauthConnection {
    /// How it is.
    pub status: ConnectionStatus,
    /// What is wrong, in words for people.
    pub problem: Option<String>,
    /// Whose account it is: "john@company.com".
    pub account: Option<String>,
    /// What has to be registered at the provider, exactly as it is.
    pub redirect_uri: String,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// When the consent ends, if that is known: nothing but signing in again goes beyond.
    pub consent_ends_at: Option<Timestamp>,
    /// Whether the access is renewed without anybody.
    pub auto_refresh: bool,
    /// When it is renewed next.
    pub next_refresh_at: Option<Timestamp>,
    /// The last time that it was tried.
    pub last_refresh: Option<Refresh>,
    /// Scopes that were asked for.
    pub requested_scopes: Vec<String>,
    /// Scopes that were granted.
    pub granted_scopes: Vec<String>,
    /// All permissions that the provider has, and how they stand.
    pub permissions: Vec<PermissionMark>,
    /// When the account consented.
    pub connected_at: Option<Timestamp>,
    /// Who connected it.
    pub connected_by: Option<String>,
    /// What is done with the account.
    pub sync: SyncSettings,
    /// Whether the account has calendars to choose from.
    pub has_calendars: bool,
    /// Where the owner of the account sees and ends what it granted.
    pub access_page: Option<String>,
    /// The newest refreshes, at most 20, the newest first.
    pub history: Vec<Refresh>,
}

/// One permission of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PermissionMark {
    /// As the provider calls it.
    pub scope: String,
    /// For people: "Events of calendars".
    pub label: String,
    /// Whether the account has granted it.
    pub is_granted: bool,
    /// Whether it was asked for.
    pub is_requested: bool,
    /// What does not work without it.
    pub blocks: Option<String>,
}

/// One try to renew an access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refresh {
    /// When it began.
    pub at: Timestamp,
    /// Whether it succeeded; `None` while nobody knows.
    pub ok: Option<bool>,
    /// What was wrong.
    pub fault: Option<RefreshFault>,
    /// What the provider said.
    pub detail: String,
}

/// What is done with an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncSettings {
    /// Whether the programs that use the connection write interviews into the calendar.
    pub auto_sync: bool,
    /// The id of the calendar; none: the account's own choice.
    pub calendar: Option<String>,
}

/// A calendar of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Calendar {
    /// As the provider knows it.
    pub id: String,
    /// As people know it.
    pub name: String,
}

/// What an account is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuthorizationRequest {
    /// Scopes beyond those that are granted already. Empty: those of the integration's settings.
    pub scopes: Vec<String>,
}

/// Where an account consents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Authorization {
    /// To be opened in a browser: by a member's session the provider's page, which must be opened in the very browser that
    /// asked; by an API key a link of this server that any browser may open, once.
    pub authorization_url: String,
    /// Until when it can be used.
    pub expires_at: Timestamp,
}

/// That a connection was ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Disconnected {
    /// What became of the right at the provider. Here it is erased in any case.
    pub revocation: Revocation,
    /// In words for people.
    pub message: String,
}

/// An access token, to be used now.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectionToken {
    /// To be sent as `Authorization: Bearer …`. Not to be stored: ask again instead.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// When it ends. At least a minute is left, or half its life if that is shorter.
    pub expires_at: Timestamp,
    /// Whose account it is: "john@company.com".
    pub account: Option<String>,
    /// What the account has granted.
    pub scopes: Vec<String>,
    /// What the provider said beside the tokens and a program needs, by the provider's names: `instance_url` of Salesforce,
    /// the address of the account's API.
    pub provider_data: BTreeMap<String, String>,
    /// What an administrator wants done with the account.
    pub sync: SyncSettings,
}
