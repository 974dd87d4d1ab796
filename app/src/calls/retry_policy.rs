//! The organization's retry policy.

use domain::{RetryPolicy, Timestamp};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::retry_form::RetryForm;
#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// The policy, and what its screen says beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrySettings {
    /// The policy.
    pub policy: RetryPolicy,
    /// When it was read: the moment at which a preview lets the first try fail.
    pub now: Timestamp,
    /// Dead letters there are.
    pub dead_letters: i64,
}

/// The policy as it is stored.
#[server(prefix = "/_ui", endpoint = "retry-policy/show", protocol = ByJson)]
pub async fn show_retry_policy() -> Result<RetrySettings, CallError> {
    let (engine, actor) = ssr::caller()?;
    let policy = engine.retry_policy(&actor).await?;
    let dead_letters = engine.dead_letter_summary(&actor).await?.total;
    Ok(RetrySettings { policy, now: engine.now(), dead_letters })
}

/// Changes the policy.
#[server(prefix = "/_ui", endpoint = "retry-policy/save", protocol = ByForm)]
pub async fn save_retry_policy(policy: RetryForm) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    let typed = serde_json::to_string(&policy).unwrap_or_default();
    let stored = async { engine.set_retry_policy(&actor, policy.policy()?).await };
    stored.await.map_err(|error| ssr::keep_typed::<SaveRetryPolicy>(error.into(), &[("typed", &typed)]))?;
    ssr::redirect_plain_form("/retry-policy");
    Ok(())
}
