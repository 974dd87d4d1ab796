//! Work on many deliveries: how many it would touch, starting it, watching it, stopping it.

use domain::{
    WebhookId,
    api::{Job, JobKind, Page},
    delivery::ErrorClass,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// What is typed to clear many dead letters.
pub const CONFIRMATION: &str = "clear";

/// What is to be done, and to which deliveries. Screens offer retrying and clearing dead letters, and replaying failures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    /// What is done.
    pub kind: JobKind,
    /// To those of this webhook.
    #[serde(default)]
    pub webhook_id: Option<WebhookId>,
    /// To those of this event type.
    #[serde(default)]
    pub event: Option<String>,
    /// To those whose last try failed for this reason.
    #[serde(default)]
    pub error: Option<ErrorClass>,
}

#[cfg(feature = "ssr")]
impl Bulk {
    fn filter(&self) -> domain::api::DeadLetterFilter {
        let Self { webhook_id, event, error, .. } = self.clone();
        domain::api::DeadLetterFilter { webhook_id, event, error, from: None, to: None }
    }

    fn choice(&self) -> domain::api::DeadLetterChoice {
        let filter = self.filter();
        let all = filter == domain::api::DeadLetterFilter::default();
        domain::api::DeadLetterChoice { ids: None, filter: (!all).then_some(filter), all }
    }

    fn replay(&self, dry_run: bool) -> domain::api::ReplayRequest {
        domain::api::ReplayRequest {
            mode: domain::api::ReplayMode::Failed,
            webhook_id: self.webhook_id,
            event: self.event.clone(),
            status: None,
            from: None,
            to: None,
            dry_run,
        }
    }
}

/// How many deliveries it would be done to now.
#[server(prefix = "/_ui", endpoint = "jobs/count", protocol = ByJson)]
pub async fn count_bulk(bulk: Bulk) -> Result<i64, CallError> {
    let (engine, actor) = ssr::caller()?;
    if bulk.kind != JobKind::ReplayFailed {
        return Ok(engine.count_dead_letters(&actor, bulk.filter()).await?);
    }
    match engine.replay_many(&actor, bulk.replay(true)).await? {
        engine::Replayed::Counted(count) => Ok(count.matched),
        engine::Replayed::Job(job) => Ok(job.matched),
    }
}

/// Starts it. Clearing many needs [`CONFIRMATION`] typed.
#[server(prefix = "/_ui", endpoint = "jobs/start", protocol = ByForm)]
pub async fn start_bulk(bulk: Bulk, #[server(default)] confirm: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    match bulk.kind {
        JobKind::ReplayFailed => drop(engine.replay_many(&actor, bulk.replay(false)).await?),
        JobKind::DeadLettersClear if confirm.trim() != CONFIRMATION => {
            let problem = domain::Problems::one("confirm", format!("Type {CONFIRMATION} to confirm"));
            return Err(domain::api::ApiError::from(problem).into());
        }
        JobKind::DeadLettersClear => drop(engine.clear_dead_letters(&actor, bulk.choice()).await?),
        _ => drop(engine.retry_dead_letters(&actor, bulk.choice()).await?),
    }
    ssr::redirect_plain_form("/jobs");
    Ok(())
}

/// The last jobs, newest first.
#[server(prefix = "/_ui", endpoint = "jobs/list", protocol = ByJson)]
pub async fn list_jobs(cursor: Option<String>) -> Result<Page<Job>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.jobs(&actor, cursor, Some(25)).await?)
}

/// Stops a job.
#[server(prefix = "/_ui", endpoint = "jobs/cancel", protocol = ByForm)]
pub async fn cancel_job(id: String) -> Result<(), CallError> {
    let (engine, actor) = ssr::caller()?;
    engine.cancel_job(&actor, ssr::id(&id, "Job")?).await?;
    ssr::redirect_plain_form("/jobs");
    Ok(())
}
