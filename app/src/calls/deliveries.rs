//! Deliveries and their tries.

use domain::api::{Attempt, Delivery, DeliveryQuery, Failures, Page};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ssr")]
use crate::ssr;
use crate::{
    codec::{ByForm, ByJson},
    error::CallError,
};

/// One page of deliveries, newest first.
#[server(prefix = "/_ui", endpoint = "deliveries/list", protocol = ByJson)]
pub async fn list_deliveries(query: DeliveryQuery) -> Result<Page<Delivery>, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.deliveries(&actor, query).await?)
}

/// Deliveries whose last try failed, by webhook and reason.
#[server(prefix = "/_ui", endpoint = "deliveries/failures", protocol = ByJson)]
pub async fn group_failures(query: DeliveryQuery) -> Result<Failures, CallError> {
    let (engine, actor) = ssr::caller()?;
    Ok(engine.failures(&actor, query).await?)
}

/// A delivery with what was sent and all tries. The API has it as one object, which takes the browser twice the code to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryScreen {
    /// The delivery.
    pub delivery: Delivery,
    /// The exact text sent; `None` once it is not kept any more.
    pub request_body: Option<String>,
    /// The tries, the first one first.
    pub attempts_made: Vec<Attempt>,
}

/// One delivery with what was sent and all tries.
#[server(prefix = "/_ui", endpoint = "deliveries/show", protocol = ByJson)]
pub async fn show_delivery(id: String) -> Result<DeliveryScreen, CallError> {
    let (engine, actor) = ssr::caller()?;
    let detail = engine.delivery(&actor, ssr::id(&id, "Delivery")?).await?;
    let domain::api::DeliveryDetail { delivery, request_body, attempts_made } = detail;
    Ok(DeliveryScreen { delivery, request_body, attempts_made })
}

/// Sends a delivery again.
#[server(prefix = "/_ui", endpoint = "deliveries/replay", protocol = ByForm)]
pub async fn replay_delivery(id: String) -> Result<Delivery, CallError> {
    let (engine, actor) = ssr::caller()?;
    let delivery = engine.replay(&actor, ssr::id(&id, "Delivery")?).await?;
    ssr::redirect_plain_form(&format!("/deliveries/{}", delivery.id));
    Ok(delivery)
}

/// Sends another payload to the webhook of a delivery. `data` is JSON and reaches the receiver as it was typed.
#[server(prefix = "/_ui", endpoint = "deliveries/edit", protocol = ByForm)]
pub async fn resend_edited(id: String, data: String) -> Result<Delivery, CallError> {
    let (engine, actor) = ssr::caller()?;
    let parsed = serde_json::from_str(&data).map_err(|error| {
        domain::api::ApiError::from(domain::Problems::one("data", format!("Not valid JSON: {error}"))).into()
    });
    let data = parsed.map_err(|error| ssr::keep_typed::<ResendEdited>(error, &[("data", &data)]))?;
    let delivery = engine.resend_edited(&actor, ssr::id(&id, "Delivery")?, domain::api::EditedPayload { data }).await?;
    ssr::redirect_plain_form(&format!("/deliveries/{}", delivery.id));
    Ok(delivery)
}
