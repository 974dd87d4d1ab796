//! Dead letters: deliveries that were given up and wait for a person, one by one or many at once.

use serde::{Deserialize, Serialize};

use super::{ApiError, Delivery, ErrorCode};
use crate::{DeliveryId, Problems, Timestamp, WebhookId, delivery::ErrorClass};

/// Most ids in one request.
pub const MAX_IDS: usize = 1_000;

/// A delivery that was given up and waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetter {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// When it was given up.
    pub died_at: Timestamp,
    /// When it is discarded unless somebody retries it: as the retry policy says now, so that a change of the policy
    /// counts for dead letters that are there already.
    pub expires_at: Timestamp,
}

/// Which dead letters are listed. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct DeadLetterQuery {
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Of this event type.
    pub event: Option<String>,
    /// Whose last try failed for this reason.
    pub error: Option<ErrorClass>,
    /// Created at or after (RFC 3339).
    pub from: Option<Timestamp>,
    /// Created before (RFC 3339).
    pub to: Option<Timestamp>,
    /// Rows per page, 1–200; 50 when not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl DeadLetterQuery {
    /// Its conditions.
    pub fn filter(&self) -> DeadLetterFilter {
        DeadLetterFilter {
            webhook_id: self.webhook_id,
            event: self.event.clone(),
            error: self.error,
            from: self.from,
            to: self.to,
        }
    }
}

/// Conditions on dead letters. All must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterFilter {
    /// Of this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Of this event type.
    pub event: Option<String>,
    /// Whose last try failed for this reason.
    pub error: Option<ErrorClass>,
    /// Created at or after.
    pub from: Option<Timestamp>,
    /// Created before.
    pub to: Option<Timestamp>,
}

/// How many dead letters one webhook has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterCount {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Its name now.
    pub webhook_name: String,
    /// Its dead letters.
    pub dead_letters: i64,
}

/// How many dead letters there are, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterSummary {
    /// All of them.
    pub total: i64,
    /// Webhooks that have any, the most first.
    pub webhooks: Vec<DeadLetterCount>,
}

/// Which dead letters are meant: exactly one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterChoice {
    /// These, 1–1,000. It is done at once.
    pub ids: Option<Vec<DeliveryId>>,
    /// Those that are there now and match. It is done by a job.
    pub filter: Option<DeadLetterFilter>,
    /// `true`: all that are there now. It is done by a job.
    pub all: bool,
}

/// A checked [`DeadLetterChoice`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterTarget {
    /// These, each once.
    Ids(Vec<DeliveryId>),
    /// Those that match.
    Matching(DeadLetterFilter),
}

impl DeadLetterChoice {
    /// Checks that it says exactly one thing.
    pub fn check(self) -> Result<DeadLetterTarget, Problems> {
        match (self.ids, self.filter, self.all) {
            (Some(ids), None, false) => DeadLetterIds { ids }.check().map(DeadLetterTarget::Ids),
            (None, Some(filter), false) => {
                if filter == DeadLetterFilter::default() {
                    return Err(Problems::one(
                        "filter",
                        "A filter has at least one condition; send {\"all\": true} for all dead letters",
                    ));
                }
                let mut problems = Problems::default();
                check_range(&mut problems, "filter.to", filter.from, filter.to);
                problems.or(DeadLetterTarget::Matching(filter))
            }
            (None, None, true) => Ok(DeadLetterTarget::Matching(DeadLetterFilter::default())),
            _ => Err(Problems::one("ids", "Give one of ids, filter or all")),
        }
    }
}

/// Notes at `field` that a range ends before it begins.
pub(super) fn check_range(problems: &mut Problems, field: &str, from: Option<Timestamp>, to: Option<Timestamp>) {
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        problems.add(field, "The end must be after the beginning");
    }
}

/// Discarded deliveries that become dead letters again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeadLetterIds {
    /// These, 1–1,000.
    pub ids: Vec<DeliveryId>,
}

impl DeadLetterIds {
    /// Each once, if there are neither none nor too many.
    pub fn check(self) -> Result<Vec<DeliveryId>, Problems> {
        let Self { mut ids } = self;
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() || ids.len() > MAX_IDS {
            return Err(Problems::one("ids", format!("Give between 1 and {MAX_IDS} ids")));
        }
        Ok(ids)
    }
}

/// Why a delivery is not sent again, not cleared, or not restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Refusal {
    /// There is no dead letter with this id.
    NotDeadLetter,
    /// There is no discarded delivery with this id, or it is a test.
    NotDiscarded,
    /// Its webhook was deleted.
    WebhookDeleted,
    /// Its webhook is paused.
    WebhookPaused,
    /// A person disabled its webhook, or its receiver did by answering 410.
    WebhookDisabled,
    /// What it carries is not kept any more.
    PayloadGone,
}

impl Refusal {
    /// What happened and what to do, for people.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::NotDeadLetter => "This is not a dead letter.",
            Self::NotDiscarded => "This was not discarded, or it is not kept any more.",
            Self::WebhookDeleted => "The webhook was deleted; there is nowhere to send this to.",
            Self::WebhookPaused => "The webhook is paused; enable it first.",
            Self::WebhookDisabled => "The webhook is disabled; enable it first.",
            Self::PayloadGone => {
                "The payload is older than the organization keeps payloads, so it cannot be sent again."
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = if refusal == Refusal::PayloadGone { ErrorCode::Gone } else { ErrorCode::Conflict };
        Self::new(code, refusal.detail())
    }
}

/// One id to which nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Refused {
    /// The id.
    pub id: DeliveryId,
    /// Why, as a word that programs can rely on.
    pub reason: Refusal,
    /// Why, for people.
    pub detail: String,
}

/// What was done at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DoneAtOnce {
    /// Ids that are dead letters; for restoring, that were discarded.
    pub matched: i64,
    /// Those that were retried, cleared or restored.
    pub done: i64,
    /// The other ids.
    pub refused: Vec<Refused>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PublicId;

    fn id(number: u8) -> DeliveryId {
        DeliveryId::new(Timestamp::from_millis(1), [number; 10])
    }

    #[test]
    fn a_choice_says_exactly_one_thing() {
        let choice = |ids: Option<Vec<DeliveryId>>, filter, all| DeadLetterChoice { ids, filter, all }.check();
        let one = DeadLetterFilter { event: Some("job.created".into()), ..DeadLetterFilter::default() };
        assert_eq!(choice(Some(vec![id(2), id(1), id(2)]), None, false), Ok(DeadLetterTarget::Ids(vec![id(1), id(2)])));
        assert_eq!(choice(None, Some(one.clone()), false), Ok(DeadLetterTarget::Matching(one.clone())));
        assert_eq!(choice(None, None, true), Ok(DeadLetterTarget::Matching(DeadLetterFilter::default())));
        let field = |refused: Result<DeadLetterTarget, Problems>| refused.unwrap_err().into_vec()[0].field.clone();
        assert_eq!(field(choice(None, None, false)), "ids");
        assert_eq!(field(choice(Some(vec![id(1)]), None, true)), "ids");
        assert_eq!(field(choice(Some(vec![]), None, false)), "ids");
        assert_eq!(field(choice(None, Some(DeadLetterFilter::default()), false)), "filter");
        let at = |ms| Some(Timestamp::from_millis(ms));
        let backwards = DeadLetterFilter { from: at(5), to: at(5), ..one };
        assert_eq!(field(choice(None, Some(backwards), false)), "filter.to");
        let many = (0..=MAX_IDS).map(|n| DeliveryId::new(Timestamp::from_millis(n.try_into().unwrap()), [0; 10]));
        assert_eq!(field(choice(Some(many.collect()), None, false)), "ids");
    }
}
