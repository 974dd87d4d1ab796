//! What each filter of deliveries and events lets through, and how failures are grouped.

use domain::{
    DeliveryId, EventId, MemberId, OrganizationId, PublicId, SourceId, WebhookId, WebhookState,
    api::{CodeClass, DeliveryQuery, EventQuery, MOST_SEARCHED, SavedView, TimeRange, Webhook},
    delivery::{DeliveryState, ErrorClass},
};
use uuid::Uuid;

use crate::{
    Fresh,
    cold::{at, id, organization, store_webhook, webhook},
    conformance, raw,
};

/// A delivery of an event with the same number, as far as filters see it.
#[derive(Clone, Copy)]
struct Row {
    number: i64,
    webhook: WebhookId,
    state: &'static str,
    code: Option<i64>,
    error: Option<ErrorClass>,
    source: Option<SourceId>,
}

async fn store(fresh: &Fresh, organization: OrganizationId, rows: &[Row]) {
    raw!(fresh, conn => {
        let mut conn = sqlx::Connection::begin(conn).await.unwrap();
        for row in rows {
            let own: Uuid = id::<DeliveryId>(row.number).uuid();
            sqlx::query(
                "insert into events (id, organization_id, source_id, event_type, body, deliveries) \
                 values ($1, $2, $3, 'job.created', $4, 1)",
            )
            .bind(own)
            .bind(organization.uuid())
            .bind(row.source.map(PublicId::uuid))
            .bind(b"{}".to_vec())
            .execute(&mut *conn)
            .await
            .unwrap();
            sqlx::query(
                "insert into deliveries (id, organization_id, webhook_id, event_id, event_type, kind, state, attempts, \
                 response_status, error) values ($1, $2, $3, $1, 'job.created', 'event', $4, 1, $5, $6)",
            )
            .bind(own)
            .bind(organization.uuid())
            .bind(row.webhook.uuid())
            .bind(row.state)
            .bind(row.code)
            .bind(row.error.map(ErrorClass::as_str))
            .execute(&mut *conn)
            .await
            .unwrap();
        }
        conn.commit().await.unwrap();
    });
}

conformance! {
    async fn of_deliveries(fresh) {
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let active = |number| Webhook { state: WebhookState::Active, ..webhook(number) };
        let (first, second) =
            (store_webhook(fresh, ours, active(3)).await, store_webhook(fresh, ours, active(4)).await);
        let source: SourceId = id(5);
        let row = |number, webhook, state, code, error| Row { number, webhook, state, code, error, source: None };
        let rows = [
            Row { source: Some(source), ..row(10, first, "delivered", Some(204), None) },
            row(11, first, "failed", Some(301), Some(ErrorClass::Redirect)),
            row(12, first, "failed", Some(429), Some(ErrorClass::RateLimited)),
            Row { source: Some(source), ..row(13, second, "discarded", Some(503), Some(ErrorClass::Server)) },
            row(14, second, "failed", None, Some(ErrorClass::Dns)),
            row(15, second, "failed", Some(500), Some(ErrorClass::Server)),
            row(16, second, "discarded", None, None),
        ];
        store(fresh, ours, &rows).await;
        store(fresh, theirs, &[row(20, first, "failed", Some(503), Some(ErrorClass::Server))]).await;
        let found = async |query: DeliveryQuery| {
            let (mut numbers, mut cursor) = (Vec::new(), None);
            // Two at a time, so that every filter is also paged.
            loop {
                let page = fresh.store.deliveries(ours, &query, cursor, 2).await.unwrap();
                assert!(page.data.iter().all(|delivery| query.holds(delivery) || query.source_id.is_some()));
                numbers.extend(page.data.iter().map(|delivery| delivery.id));
                let Some(next) = page.next_cursor else { return numbers };
                cursor = Some(next.parse().unwrap());
            }
        };
        let all = DeliveryQuery::default;
        let code = |code| DeliveryQuery { code: Some(code), ..all() };
        let error = |error| DeliveryQuery { error: Some(error), ..all() };
        let cases = [
            (all(), vec![16, 15, 14, 13, 12, 11, 10]),
            (code(CodeClass::Success), vec![10]),
            (code(CodeClass::Redirect), vec![11]),
            (code(CodeClass::Client), vec![12]),
            (code(CodeClass::Server), vec![15, 13]),
            (code(CodeClass::None), vec![14]),
            (error(ErrorClass::Server), vec![15, 13]),
            (error(ErrorClass::Dns), vec![14]),
            (error(ErrorClass::Tls), vec![]),
            (DeliveryQuery { status: Some(DeliveryState::Failed), ..error(ErrorClass::Server) }, vec![15]),
            (DeliveryQuery { status: Some(DeliveryState::Failed), ..all() }, vec![15, 14, 12, 11]),
            (DeliveryQuery { status: Some(DeliveryState::DeadLetter), ..error(ErrorClass::Server) }, vec![]),
            (DeliveryQuery { webhook_id: Some(first), ..code(CodeClass::Client) }, vec![12]),
            (DeliveryQuery { webhook_id: Some(first), ..code(CodeClass::Server) }, vec![]),
            (DeliveryQuery { source_id: Some(source), ..all() }, vec![13, 10]),
            (DeliveryQuery { source_id: Some(source), ..code(CodeClass::Server) }, vec![13]),
            (DeliveryQuery { source_id: Some(id(6)), ..all() }, vec![]),
            (DeliveryQuery { id: Some(id(12)), ..all() }, vec![12]),
            (DeliveryQuery { id: Some(id(12)), ..code(CodeClass::Server) }, vec![]),
            (DeliveryQuery { id: Some(id(20)), ..all() }, vec![]),
            (DeliveryQuery { from: Some(at(12)), to: Some(at(15)), ..code(CodeClass::Server) }, vec![13]),
        ];
        for (query, numbers) in cases {
            let numbers: Vec<DeliveryId> = numbers.into_iter().map(id).collect();
            assert_eq!(found(query.clone()).await, numbers, "{query:?}");
        }
    }

    async fn failures_by_webhook_and_reason(fresh) {
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let hook = store_webhook(fresh, ours, webhook(3)).await;
        let gone: WebhookId = id(9);
        let row = |number, webhook, error| Row { number, webhook, state: "failed", code: None, error, source: None };
        let rows = [
            row(10, hook, Some(ErrorClass::Dns)),
            row(11, hook, Some(ErrorClass::Tls)),
            row(12, gone, Some(ErrorClass::Tls)),
            row(13, hook, Some(ErrorClass::Tls)),
            Row { state: "delivered", ..row(14, hook, None) },
            row(15, hook, Some(ErrorClass::Tls)),
        ];
        store(fresh, ours, &rows).await;
        store(fresh, theirs, &[row(20, hook, Some(ErrorClass::Tls))]).await;
        let found = async |query: DeliveryQuery, limit| {
            let found = fresh.store.failures(ours, &query, limit).await.unwrap();
            let short = |group: domain::api::FailureGroup| {
                (group.webhook_name, group.error, group.deliveries, group.first_at, group.last_at)
            };
            (found.data.into_iter().map(short).collect::<Vec<_>>(), found.more)
        };
        let ours = |error, number, first, last| ("webhook 3".to_owned(), error, number, at(first), at(last));
        let deleted = ("(deleted webhook)".to_owned(), ErrorClass::Tls, 1, at(12), at(12));
        let (groups, more) = found(DeliveryQuery::default(), 5).await;
        assert_eq!((groups[0].clone(), groups.len(), more), (ours(ErrorClass::Tls, 3, 11, 15), 3, false));
        assert!(groups.contains(&ours(ErrorClass::Dns, 1, 10, 10)) && groups.contains(&deleted));
        let (groups, more) = found(DeliveryQuery::default(), 2).await;
        assert_eq!((groups, more), (vec![ours(ErrorClass::Tls, 2, 13, 15)], true));
        let query = DeliveryQuery { webhook_id: Some(gone), ..DeliveryQuery::default() };
        assert_eq!(found(query, 5).await.0, [deleted]);
        let query = DeliveryQuery { error: Some(ErrorClass::Dns), ..DeliveryQuery::default() };
        assert_eq!(found(query, 5).await.0, [ours(ErrorClass::Dns, 1, 10, 10)]);
        let query = DeliveryQuery { to: Some(at(11)), ..DeliveryQuery::default() };
        assert_eq!(found(query, 5).await.0, [ours(ErrorClass::Dns, 1, 10, 10)]);
    }

    async fn of_events(fresh) {
        let ours = organization(fresh, 1).await;
        let hook = store_webhook(fresh, ours, webhook(3)).await;
        let row = |number| Row { number, webhook: hook, state: "delivered", code: None, error: None, source: None };
        store(fresh, ours, &[row(10), Row { source: Some(id(5)), ..row(11) }]).await;
        for (query, number) in [
            (EventQuery { id: Some(id(10)), ..EventQuery::default() }, 10),
            (EventQuery { source_id: Some(id(5)), ..EventQuery::default() }, 11),
            // A range is for whoever knows what time it is.
            (EventQuery { range: Some(TimeRange::Hour), from: Some(at(11)), ..EventQuery::default() }, 11),
        ] {
            let page = fresh.store.events(ours, &query, None, 5).await.unwrap();
            assert_eq!(page.data.into_iter().map(|event| event.id).collect::<Vec<_>>(), [id(number)], "{query:?}");
        }
    }

    /// A text is found as it stands in a payload. A page looks at so many and no further, and says from where to go on.
    async fn of_payloads(fresh) {
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let hook = store_webhook(fresh, ours, webhook(3)).await;
        let row = |number| Row { number, webhook: hook, state: "delivered", code: Some(204), error: None, source: None };
        store(fresh, ours, &[row(10), row(11), row(12)]).await;
        store(fresh, theirs, &[row(20)]).await;
        raw!(fresh, conn => sqlx::query("update events set body = $1 where id in ($2, $3, $4)")
            .bind(r#"{"name":"Jörg 100%"}"#.as_bytes())
            .bind(id::<DeliveryId>(10).uuid())
            .bind(id::<DeliveryId>(12).uuid())
            .bind(id::<DeliveryId>(20).uuid())
            .execute(conn).await.unwrap().rows_affected());
        let deliveries = async |text: &str, before| {
            let query = DeliveryQuery { text: Some(text.to_owned()), ..DeliveryQuery::default() };
            let page = fresh.store.deliveries(ours, &query, before, 10).await.unwrap();
            (page.data.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), page.next_cursor)
        };
        let events = async |text: &str, before| {
            let query = EventQuery { text: Some(text.to_owned()), ..EventQuery::default() };
            let page = fresh.store.events(ours, &query, before, 10).await.unwrap();
            (page.data.iter().map(|event| event.id).collect::<Vec<_>>(), page.next_cursor)
        };
        for text in ["Jörg", "100%", r#"{"name":"Jörg 100%"}"#] {
            assert_eq!(deliveries(text, None).await, (vec![id(12), id(10)], None), "{text}");
            assert_eq!(events(text, None).await, (vec![id(12), id(10)], None), "{text}");
        }
        for text in ["jörg", "J_rg", "%", "nowhere"] {
            let expected = if text == "%" { vec![id(12), id(10)] } else { vec![] };
            assert_eq!(deliveries(text, None).await.0, expected, "{text}");
        }

        // Newer ones without it fill one page's search.
        let newer = i64::from(MOST_SEARCHED);
        store(fresh, ours, &(100..100 + newer).map(row).collect::<Vec<_>>()).await;
        let floor: DeliveryId = id(100);
        assert_eq!(deliveries("Jörg", None).await, (vec![], Some(floor.to_string())));
        assert_eq!(deliveries("Jörg", Some(floor)).await, (vec![id(12), id(10)], None));
        let floor: EventId = id(100);
        assert_eq!(events("Jörg", None).await, (vec![], Some(floor.to_string())));
        assert_eq!(events("Jörg", Some(floor)).await, (vec![id(12), id(10)], None));
    }

    /// Views are a member's own, one of a name in a list, and not too many.
    async fn views_are_kept(fresh) {
        let organization = organization(fresh, 1).await;
        let (ada, bob): (MemberId, MemberId) = (id(71), id(72));
        for (member, email) in [(ada, "ada@example.com"), (bob, "bob@example.com")] {
            raw!(fresh, conn => sqlx::query(
                "insert into members (id, organization_id, name, email, role, password_hash, created_at) \
                 values ($1, $2, 'M', $3, 'viewer', 'x', 1)",
            ).bind(member.uuid()).bind(organization.uuid()).bind(email).execute(conn).await.unwrap().rows_affected());
        }
        let view = |list: &str, name: &str, query: &str| SavedView { list: list.into(), name: name.into(), query: query.into() };
        let store = &fresh.store;
        let failed = view("/deliveries", "Failed", "status=failed");
        assert!(store.save_view(organization, ada, failed.clone(), 2).await.unwrap());
        assert!(store.save_view(organization, ada, view("/events", "Failed", "event=a"), 2).await.unwrap());
        assert!(!store.save_view(organization, ada, view("/events", "Third", "event=a"), 2).await.unwrap());
        let changed = view("/deliveries", "Failed", "status=dead_letter");
        assert!(store.save_view(organization, ada, changed.clone(), 2).await.unwrap(), "it takes the place of its namesake");
        assert_eq!(store.saved_views(organization, ada).await.unwrap(), [changed, view("/events", "Failed", "event=a")]);
        assert!(store.saved_views(organization, bob).await.unwrap().is_empty());
        let forget = async |member| store.forget_view(organization, member, "/events".into(), "Failed".into()).await.unwrap();
        assert!(!forget(bob).await);
        assert!(forget(ada).await && !forget(ada).await);
        assert_eq!(store.saved_views(organization, ada).await.unwrap().len(), 1);
    }
}
