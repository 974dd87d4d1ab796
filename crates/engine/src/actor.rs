//! Who asks, and what they may.

use domain::{
    ApiKeyId, MemberId, OrganizationId, Permission, Role, Scopes, SourceId,
    api::{ApiError, ErrorCode},
};

use crate::Result;

/// Somebody who was recognised, in the one organization that they act in.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The tenant. Every lookup is scoped to it.
    pub organization: OrganizationId,
    /// Who it is.
    pub who: Who,
}

/// Kinds of actors.
#[derive(Debug, Clone)]
pub enum Who {
    /// A person with a session.
    Member {
        /// Their id.
        id: MemberId,
        /// Their name.
        name: String,
        /// What they sign in with.
        email: String,
        /// What they are.
        role: Role,
    },
    /// A program with an API key.
    Key {
        /// The key's id.
        id: ApiKeyId,
        /// The key's name.
        name: String,
        /// What it may be used for.
        scopes: Scopes,
        /// The only source whose events it publishes.
        source_id: Option<SourceId>,
    },
    /// The operator, on the command line of the server itself.
    System,
}

impl Actor {
    /// Whether they may.
    pub fn may(&self, permission: Permission) -> bool {
        match &self.who {
            Who::Member { role, .. } => role.may(permission),
            Who::Key { scopes, .. } => scopes.may(permission),
            Who::System => true,
        }
    }

    /// Refuses unless they may.
    pub fn require(&self, permission: Permission) -> Result<()> {
        if self.may(permission) {
            return Ok(());
        }
        let detail = match &self.who {
            Who::Member { role, .. } => format!("Your role ({role}) does not allow this. Ask an administrator."),
            Who::Key { .. } | Who::System => "This API key's scopes do not allow this.".to_owned(),
        };
        Err(ApiError::new(ErrorCode::Forbidden, detail))
    }

    /// The member's id and address; `None`: it is nobody in person.
    pub(crate) fn member(&self) -> Option<(MemberId, &str)> {
        match &self.who {
            Who::Member { id, email, .. } => Some((*id, email)),
            Who::Key { .. } | Who::System => None,
        }
    }

    /// As the audit log names them.
    pub fn label(&self) -> String {
        match &self.who {
            Who::Member { name, email, .. } => format!("{name} <{email}>"),
            Who::Key { name, .. } => format!("API key {name}"),
            Who::System => "Operator".to_owned(),
        }
    }
}
