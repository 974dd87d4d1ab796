//! The filters of `/dead-letters`, and what they mean for the queue.

use domain::{
    DeliveryId, WebhookId,
    api::{DeadLetterCount, DeadLetterQuery, JobKind},
    delivery::ErrorClass,
};

use crate::{
    calls::jobs::Bulk,
    components::filters::{Field, Filters, Input, known, word},
};

const FIELDS: &[Field] = &[
    Field { name: "webhook_id", title: "webhook", read: known::<WebhookId>, input: Input::Choice },
    Field { name: "event", title: "event", read: word, input: Input::Choice },
    Field { name: "error", title: "reason", read: known::<ErrorClass>, input: Input::Choice },
];

/// Reads the address, or the form.
pub fn read(get: &dyn Fn(&str) -> Option<String>) -> Filters {
    Filters::read("/dead-letters", FIELDS, known::<DeliveryId>, get)
}

/// As the server is asked.
pub fn query(filters: &Filters) -> DeadLetterQuery {
    DeadLetterQuery {
        webhook_id: filters.parsed("webhook_id"),
        event: filters.get("event").map(str::to_owned),
        error: filters.parsed("error"),
        limit: Some(50),
        cursor: filters.cursor.clone(),
        ..DeadLetterQuery::default()
    }
}

/// Work on everything that matches.
pub fn bulk(filters: &Filters, kind: JobKind) -> Bulk {
    Bulk {
        kind,
        webhook_id: filters.parsed("webhook_id"),
        event: filters.get("event").map(str::to_owned),
        error: filters.parsed("error"),
    }
}

/// Whether a delivery of this webhook and type, which failed so, is not left out.
pub fn let_pass(filters: &Filters, webhook: WebhookId, event: &str, error: Option<ErrorClass>) -> bool {
    filters.parsed("webhook_id").is_none_or(|wanted: WebhookId| wanted == webhook)
        && filters.get("event").is_none_or(|wanted| wanted == event)
        && filters.parsed("error").is_none_or(|wanted: ErrorClass| Some(wanted) == error)
}

/// How many match, if that is known without counting.
pub fn matching(filters: &Filters, counts: &[DeadLetterCount]) -> Option<i64> {
    let only: Option<WebhookId> = filters.parsed("webhook_id");
    let wanted = |count: &&DeadLetterCount| only.is_none_or(|webhook| webhook == count.webhook_id);
    let sum = counts.iter().filter(wanted).map(|count| count.dead_letters).sum();
    (filters.get("event").is_none() && filters.get("error").is_none()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{PublicId, Timestamp};

    fn of(pairs: &[(&str, String)]) -> Filters {
        read(&|name| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone()))
    }

    #[test]
    fn the_address_and_back() {
        let filters = of(&[("event", "job.created".to_owned()), ("error", "dns".to_owned())]);
        assert!(filters.is_filtered());
        assert_eq!(filters.path(), "/dead-letters?event=job.created&error=dns");
        assert_eq!(query(&filters).error, Some(ErrorClass::Dns));
        assert_eq!(bulk(&filters, JobKind::DeadLettersClear).event.as_deref(), Some("job.created"));
    }

    #[test]
    fn what_is_known_without_counting() {
        let webhook = |n: u8| WebhookId::new(Timestamp::from_millis(1), [n; 10]);
        let count =
            |n, dead_letters| DeadLetterCount { webhook_id: webhook(n), webhook_name: String::new(), dead_letters };
        let counts = [count(1, 5), count(2, 7)];
        assert_eq!(matching(&of(&[]), &counts), Some(12));
        let second = ("webhook_id", webhook(2).to_string());
        let one = of(std::slice::from_ref(&second));
        assert_eq!(matching(&one, &counts), Some(7));
        assert_eq!(matching(&of(&[second, ("error", "dns".to_owned())]), &counts), None);
        assert!(let_pass(&one, webhook(2), "job.created", None) && !let_pass(&one, webhook(1), "job.created", None));
    }
}
