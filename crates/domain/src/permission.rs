//! Who may do what. This is the one place where it is written down; routes and server functions only name a
//! [`Permission`].

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a member of an organization is. Each role may do all that the roles after it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// Everything, including members and the organization itself.
    Owner,
    /// Everything but owners.
    Admin,
    /// Runs things: tests, replays, dead letters; reads everything.
    Operator,
    /// Reads.
    Viewer,
}

impl Role {
    /// All roles, the mightiest first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Operator, Self::Viewer];

    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// Whether a member with this role may do what needs `permission`.
    pub const fn may(self, permission: Permission) -> bool {
        use Permission as P;
        let least = match permission {
            P::ReadWebhooks
            | P::ReadDeliveries
            | P::ReadEvents
            | P::ReadSources
            | P::ReadInspector
            | P::ReadIntegrations => Self::Viewer,
            P::SendEvents
            | P::SendEmails
            | P::SendSms
            | P::StoreFiles
            | P::TestWebhooks
            | P::ReplayDeliveries
            | P::ClearInspector
            | P::OperateIntegrations => Self::Operator,
            P::WriteWebhooks
            | P::WriteSettings
            | P::WriteSources
            | P::WriteEventTypes
            | P::ReadSecrets
            | P::WriteIntegrations
            | P::UseConnections
            | P::ManageApiKeys
            | P::ReadAudit => Self::Admin,
            P::ManageMembers => Self::Owner,
        };
        // Variants are declared from the mightiest to the least.
        (self as u8) <= (least as u8)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(())
    }
}

/// One thing that can be allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See webhooks, without their secrets.
    ReadWebhooks,
    /// Create, change, enable, disable, delete webhooks; rotate their secrets.
    WriteWebhooks,
    /// Change what holds for the whole organization: its retry policy, how long it keeps things.
    WriteSettings,
    /// See a webhook's signing secret again.
    ReadSecrets,
    /// Send a test event to one webhook.
    TestWebhooks,
    /// See deliveries and their attempts.
    ReadDeliveries,
    /// Send a delivery again.
    ReplayDeliveries,
    /// See events and event types.
    ReadEvents,
    /// Publish events.
    SendEvents,
    /// Define custom event types.
    WriteEventTypes,
    /// See sources.
    ReadSources,
    /// Create, rename, delete sources.
    WriteSources,
    /// See what the Inspector recorded.
    ReadInspector,
    /// Delete what the Inspector recorded.
    ClearInspector,
    /// Create, list, revoke API keys.
    ManageApiKeys,
    /// Read the audit log.
    ReadAudit,
    /// See integrations, their health, logs and alerts, without their secrets.
    ReadIntegrations,
    /// Add, change, enable, disable, delete integrations; clear their logs.
    WriteIntegrations,
    /// Test and check integrations, keep their runbooks, act on alerts.
    OperateIntegrations,
    /// Send e-mails.
    SendEmails,
    /// Send text messages.
    SendSms,
    /// Keep files in storage integrations.
    StoreFiles,
    /// Get access tokens of connections.
    UseConnections,
    /// Add, change, remove members.
    ManageMembers,
}

impl Permission {
    /// Every permission, for tests that walk all of them.
    pub const ALL: [Self; 24] = [
        Self::ReadWebhooks,
        Self::WriteWebhooks,
        Self::WriteSettings,
        Self::ReadSecrets,
        Self::TestWebhooks,
        Self::ReadDeliveries,
        Self::ReplayDeliveries,
        Self::ReadEvents,
        Self::SendEvents,
        Self::WriteEventTypes,
        Self::ReadSources,
        Self::WriteSources,
        Self::ReadInspector,
        Self::ClearInspector,
        Self::ManageApiKeys,
        Self::ReadAudit,
        Self::ReadIntegrations,
        Self::WriteIntegrations,
        Self::OperateIntegrations,
        Self::SendEmails,
        Self::SendSms,
        Self::StoreFiles,
        Self::UseConnections,
        Self::ManageMembers,
    ];
}

/// What an API key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Scope {
    /// Publish events; nothing else.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Read webhooks, deliveries, events.
    #[serde(rename = "webhooks:read")]
    WebhooksRead,
    /// Read and change webhooks, test, replay.
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
    /// Read integrations, their health, logs and alerts.
    #[serde(rename = "integrations:read")]
    IntegrationsRead,
    /// Read, change and test integrations; act on alerts.
    #[serde(rename = "integrations:write")]
    IntegrationsWrite,
    /// Send e-mails.
    #[serde(rename = "emails:send")]
    EmailsSend,
    /// Send text messages; nothing else.
    #[serde(rename = "sms:send")]
    SmsSend,
    /// Keep files in storage integrations; nothing else.
    #[serde(rename = "files:write")]
    FilesWrite,
    /// Get access tokens of connections; nothing else.
    #[serde(rename = "connections:token")]
    ConnectionsToken,
    /// All that an admin may.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All scopes, the narrowest first.
    pub const ALL: [Self; 10] = [
        Self::EventsWrite,
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::IntegrationsRead,
        Self::IntegrationsWrite,
        Self::EmailsSend,
        Self::SmsSend,
        Self::FilesWrite,
        Self::ConnectionsToken,
        Self::Admin,
    ];

    /// As stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::IntegrationsRead => "integrations:read",
            Self::IntegrationsWrite => "integrations:write",
            Self::EmailsSend => "emails:send",
            Self::SmsSend => "sms:send",
            Self::FilesWrite => "files:write",
            Self::ConnectionsToken => "connections:token",
            Self::Admin => "admin",
        }
    }

    /// What a person choosing it reads.
    pub const fn description(self) -> &'static str {
        match self {
            Self::EventsWrite => "Publish events",
            Self::WebhooksRead => "Read webhooks, deliveries and events",
            Self::WebhooksWrite => "Read and change webhooks, send tests, replay deliveries",
            Self::IntegrationsRead => "Read integrations, their health, logs and alerts",
            Self::IntegrationsWrite => "Read, change and test integrations, act on alerts",
            Self::EmailsSend => "Send e-mails",
            Self::SmsSend => "Send text messages",
            Self::FilesWrite => "Keep files in storage integrations",
            Self::ConnectionsToken => "Get access tokens of connections",
            Self::Admin => "Everything an admin may do",
        }
    }

    /// Whether this scope alone allows `permission`.
    pub const fn may(self, permission: Permission) -> bool {
        use Permission as P;
        match self {
            Self::EventsWrite => matches!(permission, P::SendEvents),
            Self::WebhooksRead => {
                matches!(permission, P::ReadWebhooks | P::ReadDeliveries | P::ReadEvents | P::ReadSources)
            }
            Self::WebhooksWrite => {
                Self::WebhooksRead.may(permission)
                    || matches!(permission, P::WriteWebhooks | P::TestWebhooks | P::ReplayDeliveries)
            }
            Self::IntegrationsRead => matches!(permission, P::ReadIntegrations),
            Self::IntegrationsWrite => {
                matches!(permission, P::ReadIntegrations | P::WriteIntegrations | P::OperateIntegrations)
            }
            Self::EmailsSend => matches!(permission, P::SendEmails),
            Self::SmsSend => matches!(permission, P::SendSms),
            Self::FilesWrite => matches!(permission, P::StoreFiles),
            Self::ConnectionsToken => matches!(permission, P::UseConnections),
            Self::Admin => Role::Admin.may(permission),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(())
    }
}

/// The scopes of one key: a permission is granted when any of them grants it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scopes(pub Vec<Scope>);

impl Scopes {
    /// Whether any of the scopes allows `permission`.
    pub fn may(&self, permission: Permission) -> bool {
        self.0.iter().any(|scope| scope.may(permission))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mightier_role_may_all_that_a_lesser_one_may() {
        for permission in Permission::ALL {
            for pair in Role::ALL.windows(2) {
                assert!(pair[0].may(permission) || !pair[1].may(permission), "{pair:?} {permission:?}");
            }
            assert!(Role::Owner.may(permission));
        }
        assert!(!Role::Viewer.may(Permission::WriteWebhooks));
        assert!(!Role::Admin.may(Permission::ManageMembers));
    }

    #[test]
    fn a_publishing_key_can_only_publish() {
        for permission in Permission::ALL {
            assert_eq!(Scope::EventsWrite.may(permission), permission == Permission::SendEvents);
        }
        assert!(!Scope::WebhooksRead.may(Permission::ReadSecrets));
        assert!(!Scope::Admin.may(Permission::ManageMembers));
    }
}
