//! The first run: the organization and its owner, made by whoever reads the one-time token where the server was started,
//! or by the operator's configuration.

use domain::{
    ApiKeyId, OrganizationId, Problems, Retention, RetryPolicy, Role, Scope, Scopes,
    api::{ApiError, ApiKey, ErrorCode, Member},
};
use storage::{OrganizationRow, StoreError};
use subtle::ConstantTimeEq;

use crate::{
    Actor, Engine, NewSession, Origin, Result, Who,
    error::refused,
    members::{Person, check_name},
    secrets::{self, Secret},
};

/// Fewest characters of a key that the operator chose.
const MIN_BOOTSTRAP_KEY: usize = 32;
/// Characters by which such a key is recognised: fewer than of our own, because it may be less random.
const BOOTSTRAP_PREFIX: usize = 8;

/// The organization and its owner.
#[derive(Clone)]
pub struct Setup {
    /// Name of the organization.
    pub organization: String,
    /// Name of the owner.
    pub name: String,
    /// What the owner signs in with.
    pub email: String,
    /// At least 12 characters.
    pub password: Secret,
}

/// What the operator's configuration asks to be there from the beginning.
#[derive(Clone, Default)]
pub struct Bootstrap {
    /// What the owner signs in with, and their password.
    pub owner: Option<(String, Secret)>,
    /// An API key of the operator's choice, of at least 32 characters.
    pub api_key: Option<Secret>,
}

impl Engine {
    /// Whether nobody can sign in yet.
    pub async fn needs_setup(&self) -> Result<bool> {
        Ok(!self.inner.store.has_members().await.map_err(refused)?)
    }

    /// What proves that a visitor of the setup page can read what this process prints. New with every start.
    pub fn setup_token(&self) -> &str {
        &self.inner.setup_token
    }

    /// Makes the first organization and signs its owner in.
    pub async fn setup(&self, token: &str, form: Setup, origin: &Origin) -> Result<NewSession> {
        if !self.needs_setup().await? {
            return Err(is_set_up());
        }
        if !bool::from(token.trim().as_bytes().ct_eq(self.inner.setup_token.as_bytes())) {
            let message = "The setup token is not the one that was printed where the server was started";
            return Err(Problems::one("token", message).into());
        }
        let owner = self.found(form).await?.ok_or_else(is_set_up)?;
        self.begin_session(owner.organization, owner.member, origin).await
    }

    /// Makes what the configuration asks for, as far as it is not there. Calling it again changes nothing.
    pub async fn bootstrap(&self, bootstrap: Bootstrap) -> Result<()> {
        if let Some((email, password)) = bootstrap.owner
            && self.needs_setup().await?
        {
            let form = Setup { organization: "Default".to_owned(), name: "Owner".to_owned(), email, password };
            // Another node may have been faster.
            self.found(form).await?;
        }
        let Some(key) = bootstrap.api_key else { return Ok(()) };
        let organization = match self.inner.store.first_organization().await.map_err(refused)? {
            Some(organization) => organization.id,
            // A key alone is enough for automation; people can come later, through the setup page.
            None => self.found_empty().await?,
        };
        self.bootstrap_key(organization, key.expose()).await
    }

    /// Makes the first organization with nobody in it.
    async fn found_empty(&self) -> Result<OrganizationId> {
        let organization = self.new_organization("Default".to_owned());
        let operator = Actor { organization: organization.id, who: Who::System };
        let audit = self.audit_entry(&operator, "organization.created", &organization.id, &["name"]);
        self.inner.store.create_organization(organization, None, true, audit).await.map_err(refused)?;
        // Another node may have been faster; then it is that one's.
        let first = self.inner.store.first_organization().await.map_err(refused)?;
        first.map(|organization| organization.id).ok_or_else(|| ApiError::not_found("Organization"))
    }

    fn new_organization(&self, name: String) -> OrganizationRow {
        OrganizationRow {
            id: self.new_id(),
            name,
            inspector_token: secrets::token(&*self.inner.entropy),
            retry_policy: RetryPolicy::default(),
            retention: Retention::default(),
            created_at: self.now(),
        }
    }

    /// The operator, acting in the first organization; `None` before there is one.
    pub async fn operator(&self) -> Result<Option<Actor>> {
        let first = self.inner.store.first_organization().await.map_err(refused)?;
        Ok(first.map(|organization| Actor { organization: organization.id, who: Who::System }))
    }

    async fn bootstrap_key(&self, organization: OrganizationId, text: &str) -> Result<()> {
        if text.chars().count() < MIN_BOOTSTRAP_KEY {
            let message = format!("The bootstrap API key must have at least {MIN_BOOTSTRAP_KEY} characters");
            return Err(Problems::one("api_key", message).into());
        }
        let hash = secrets::token_hash(text);
        if let Some(known) = self.inner.store.api_key_by_hash(hash).await.map_err(refused)? {
            if known.key.revoked_at.is_some() {
                tracing::warn!("the bootstrap API key was revoked and stays so; configure another one");
            }
            return Ok(());
        }
        let id: ApiKeyId = self.new_id();
        let key = ApiKey {
            id,
            name: "Bootstrap".to_owned(),
            prefix: text.chars().take(BOOTSTRAP_PREFIX).collect(),
            scopes: Scopes(vec![Scope::Admin]),
            source_id: None,
            created_at: self.now(),
            last_used_at: None,
            expires_at: None,
            revoked_at: None,
        };
        let operator = Actor { organization, who: Who::System };
        let audit = self.audit_entry(&operator, "api_key.created", &id, &["name", "scopes"]);
        match self.inner.store.create_api_key(organization, key, hash, audit).await {
            // Another node was faster.
            Ok(()) | Err(StoreError::Conflict("api_keys_key_hash_key")) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }

    /// Makes the first organization with its owner, or adds the owner to one that automation made; `None` when somebody
    /// was faster.
    async fn found(&self, form: Setup) -> Result<Option<Owner>> {
        let mut problems = Problems::default();
        let name = form.organization.trim().to_owned();
        check_name(&name, "organization", "Organization name", &mut problems);
        let person = Person::check(&form.name, &form.email, form.password, &mut problems);
        problems.or(())?;
        let existing = self.inner.store.first_organization().await.map_err(refused)?;
        let id = existing.as_ref().map_or_else(|| self.new_id(), |organization| organization.id);
        let owner = self.new_member(id, person, Role::Owner).await?;
        let member = owner.member.clone();
        let operator = Actor { organization: id, who: Who::System };
        let made = if existing.is_some() {
            let audit = self.audit_entry(&operator, "member.created", &member.id, &["name", "email", "role"]);
            self.inner.store.create_first_member(owner, audit).await
        } else {
            let audit = self.audit_entry(&operator, "organization.created", &id, &["name"]);
            let organization = OrganizationRow { id, ..self.new_organization(name) };
            self.inner.store.create_organization(organization, Some(owner), true, audit).await
        };
        if !made.map_err(refused)? {
            return Ok(None);
        }
        self.refresh_routing().await;
        Ok(Some(Owner { organization: id, member }))
    }
}

struct Owner {
    organization: OrganizationId,
    member: Member,
}

fn is_set_up() -> ApiError {
    ApiError::new(ErrorCode::Conflict, "Signalbox is set up already. Sign in instead.")
}
