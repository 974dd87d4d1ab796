//! Members: the people of an organization, and what somebody new must be like.

use domain::{
    MemberId, OrganizationId, Permission, Problems, Role,
    api::{ApiError, ErrorCode, Member, MemberDraft},
};
use storage::MemberRow;

use crate::{
    Actor, Engine, Result,
    error::refused,
    secrets::{self, Secret},
};

/// Fewest characters of a password.
const MIN_PASSWORD: usize = 12;
/// Most bytes of a password.
pub(crate) const MAX_PASSWORD_BYTES: usize = 1024;
/// Longest e-mail address (RFC 5321).
const MAX_EMAIL: usize = 254;
/// Longest list of things that are listed whole.
pub(crate) const WHOLE_LIST: usize = 1_000;

/// Somebody new, checked.
pub(crate) struct Person {
    pub(crate) name: String,
    /// In lower case.
    pub(crate) email: String,
    password: Secret,
}

impl Person {
    /// Notes what is wrong in `problems`.
    pub(crate) fn check(name: &str, email: &str, password: Secret, problems: &mut Problems) -> Self {
        let person = Self { name: name.trim().to_owned(), email: normal_email(email), password };
        check_name(&person.name, "name", "Name", problems);
        if !is_email(&person.email) {
            problems.add("email", "Please enter a valid email address");
        }
        let password = person.password.expose();
        if password.chars().count() < MIN_PASSWORD {
            problems.add("password", format!("Password must be at least {MIN_PASSWORD} characters"));
        } else if password.len() > MAX_PASSWORD_BYTES {
            problems.add("password", format!("Password must be at most {MAX_PASSWORD_BYTES} bytes"));
        }
        person
    }
}

/// Checks the name of something, already trimmed: a single line of at most 100 characters.
pub(crate) fn check_name(name: &str, field: &str, what: &str, problems: &mut Problems) {
    if name.is_empty() {
        problems.add(field, format!("{what} is required"));
    } else if name.chars().count() > 100 {
        problems.add(field, format!("{what} must be at most 100 characters"));
    } else if name.chars().any(char::is_control) {
        problems.add(field, format!("{what} must be a single line of text"));
    }
}

/// As it is stored and compared.
pub(crate) fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Whether mail can possibly be addressed to it. Whether it arrives, only sending can tell.
fn is_email(email: &str) -> bool {
    email.len() <= MAX_EMAIL
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}

/// Refuses one more of what is listed whole.
pub(crate) fn check_room(there_are: usize, what: &str) -> Result<()> {
    if there_are < WHOLE_LIST {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Conflict, format!("An organization has at most {WHOLE_LIST} {what}")))
}

impl Engine {
    /// The members of the organization, the first one first.
    pub async fn members(&self, actor: &Actor) -> Result<Vec<Member>> {
        actor.require(Permission::ManageMembers)?;
        self.inner.store.members(actor.organization).await.map_err(refused)
    }

    /// Adds a member, who can sign in at once.
    pub async fn create_member(&self, actor: &Actor, draft: MemberDraft) -> Result<Member> {
        actor.require(Permission::ManageMembers)?;
        let mut problems = Problems::default();
        let person = Person::check(&draft.name, &draft.email, Secret::new(draft.password), &mut problems);
        problems.or(())?;
        check_room(self.inner.store.members(actor.organization).await.map_err(refused)?.len(), "members")?;
        let row = self.new_member(actor.organization, person, draft.role).await?;
        let member = row.member.clone();
        let audit = self.audit_entry(actor, "member.created", &member.id, &["name", "email", "role", "password"]);
        self.inner.store.create_member(row, audit).await.map_err(refused)?;
        Ok(member)
    }

    /// The row of a new member, with their password hashed.
    pub(crate) async fn new_member(
        &self,
        organization: OrganizationId,
        person: Person,
        role: Role,
    ) -> Result<MemberRow> {
        let mut salt = [0; 16];
        self.inner.entropy.fill(&mut salt);
        let hash = {
            let _place = self.inner.doorkeeper.hashing().await;
            secrets::hash_password(person.password, salt).await
        };
        let password_hash = hash.ok_or_else(|| ApiError::new(ErrorCode::Internal, "The password cannot be hashed"))?;
        let id: MemberId = self.new_id();
        let (name, email) = (person.name, person.email);
        let member = Member { id, name, email, role, created_at: self.now() };
        Ok(MemberRow { organization_id: organization, member, password_hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_checked() {
        let problems = |name: &str, email: &str, password: &str| {
            let mut problems = Problems::default();
            Person::check(name, email, Secret::new(password), &mut problems);
            problems.into_vec().into_iter().map(|problem| problem.message).collect::<Vec<_>>()
        };
        assert!(problems("Ada", "Ada@Example.com", "twelve chars").is_empty());
        assert_eq!(
            problems(" ", "ada", "eleven char"),
            ["Name is required", "Please enter a valid email address", "Password must be at least 12 characters"]
        );
        for email in ["", "@", "a@", "@b", "a b@c", "a@b@c", "a@b\n"] {
            let found = problems("Ada", &format!("{email} x"), "twelve chars");
            assert_eq!(found, ["Please enter a valid email address"], "{email}");
        }
        assert_eq!(problems("Ada", "a@b", &"p".repeat(1025)), ["Password must be at most 1024 bytes"]);
    }
}
