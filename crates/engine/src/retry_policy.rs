//! The retry policy of the organization: what every webhook uses that has none of its own.

use domain::{
    Permission, RetryPolicy,
    api::{ApiError, RetryPreview},
};

use crate::{Actor, Engine, Result, error::refused};

impl Engine {
    /// The policy.
    pub async fn retry_policy(&self, actor: &Actor) -> Result<RetryPolicy> {
        actor.require(Permission::ReadWebhooks)?;
        let organization = self.inner.store.organization(actor.organization).await.map_err(refused)?;
        Ok(organization.ok_or_else(|| ApiError::not_found("Organization"))?.retry_policy)
    }

    /// Changes the policy. It holds from the next try on, also for deliveries that wait for a retry.
    pub async fn set_retry_policy(&self, actor: &Actor, policy: RetryPolicy) -> Result<RetryPolicy> {
        actor.require(Permission::WriteSettings)?;
        policy.validate()?;
        if self.retry_policy(actor).await? == policy {
            return Ok(policy);
        }
        let audit = self.audit_entry(actor, "retry_policy.updated", &actor.organization, &["retry_policy"]);
        self.inner.store.set_retry_policy(actor.organization, policy.clone(), audit).await.map_err(refused)?;
        self.refresh_routing().await;
        Ok(policy)
    }

    /// When the retries of a policy would happen that is not stored yet, if a try failed now.
    pub fn preview_retries(&self, actor: &Actor, policy: &RetryPolicy) -> Result<RetryPreview> {
        actor.require(Permission::ReadWebhooks)?;
        policy.validate()?;
        let first_try_at = self.now();
        Ok(RetryPreview { first_try_at, retries: policy.preview(first_try_at) })
    }
}
