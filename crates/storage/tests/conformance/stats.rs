//! Figures: which rollups count, and into which period.

use domain::{
    DeliveryOptions, OrganizationId, PublicId, WebhookId, WebhookState,
    api::{DayTries, HourFigures, Overview, ReceivedSignature, TryFigures, Webhook},
};

use crate::{
    Fresh,
    cold::{at, organization, request, store_webhook, webhook},
    conformance, raw,
};

/// A row of the rollups.
#[derive(Clone, Copy)]
struct Rollup {
    grain: i64,
    bucket: i64,
    slot: i64,
    delivered: i64,
    failed: i64,
}

async fn count(fresh: &Fresh, organization: OrganizationId, webhook: WebhookId, rollup: Rollup) {
    raw!(fresh, conn => sqlx::query(
        "insert into rollups (organization_id, grain_minutes, bucket, webhook_id, slot, delivered, failed, duration_ms) \
         values ($1, $2, $3, $4, $5, $6, $7, 0)",
    )
    .bind(organization.uuid())
    .bind(rollup.grain)
    .bind(rollup.bucket)
    .bind(webhook.uuid())
    .bind(rollup.slot)
    .bind(rollup.delivered)
    .bind(rollup.failed)
    .execute(conn)
    .await
    .map(drop)
    .unwrap());
}

async fn fail(fresh: &Fresh, organization: OrganizationId, webhook: WebhookId, failures: i64) {
    raw!(fresh, conn => sqlx::query(
        "insert into webhook_health (webhook_id, organization_id, consecutive_failures, last_attempt_at) values ($1, $2, $3, 0)",
    )
    .bind(webhook.uuid())
    .bind(organization.uuid())
    .bind(failures)
    .execute(conn)
    .await
    .map(drop)
    .unwrap());
}

conformance! {
    async fn overview(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let empty = store.overview(ours, at(0)).await.unwrap();
        assert_eq!(Overview { hours: Vec::new(), ..empty.clone() }, Overview::default());
        assert!(empty.hours.len() == 24 && empty.hours.iter().all(|hour| hour.tries == TryFigures::default()));

        let hook = store_webhook(fresh, ours, webhook(10)).await;
        let other = store_webhook(fresh, ours, Webhook { state: WebhookState::Disabled, ..webhook(11) }).await;
        let hour = at(0).minute().div_euclid(60) * 60;
        let (fast, slow) = (domain::duration_slot(100), domain::duration_slot(2_000));
        let row = |bucket, slot, delivered, failed| Rollup { grain: 60, bucket, slot, delivered, failed };
        for (organization, webhook, rollup) in [
            (ours, hook, row(hour, fast, 3, 1)),
            (ours, other, row(hour, slow, 4, 0)),
            (ours, hook, row(hour - 23 * 60, fast, 4, 2)),
            (ours, hook, row(hour - 24 * 60, slow, 20, 0)),
            (ours, hook, row(hour - 47 * 60, slow, 0, 30)),
            (ours, hook, row(hour - 48 * 60, fast, 100, 100)),
            (ours, hook, row(hour + 60, fast, 100, 100)),
            (ours, hook, Rollup { grain: 1440, ..row(hour / 1440 * 1440, fast, 100, 100) }),
            (ours, hook, Rollup { grain: 1, ..row(hour, fast, 100, 100) }),
            (theirs, hook, row(hour, fast, 100, 100)),
        ] {
            count(fresh, organization, webhook, rollup).await;
        }
        raw!(fresh, conn => sqlx::query(
            "insert into dead_letter_counts (organization_id, webhook_id, dead_letters) values ($1, $2, 3)",
        ).bind(ours.uuid()).bind(hook.uuid()).execute(conn).await.map(drop).unwrap());
        store.record_inspector_request(ours, request(1, ReceivedSignature::Verified), 500).await.unwrap();

        let overview = store.overview(ours, at(0)).await.unwrap();
        assert_eq!((overview.webhooks, overview.disabled_webhooks), (2, 1));
        let figures = |tries: TryFigures| (tries.delivered, tries.failed, tries.p50_ms, tries.p95_ms);
        let (p100, p2000) = [fast, slow].map(|slot| domain::duration_percentile_ms(&[(slot, 1)], 0.5)).into();
        assert_eq!(figures(overview.last_24h), (11, 3, p100, p2000));
        assert_eq!(figures(overview.before), (20, 30, p2000, p2000));
        let hours: Vec<_> = overview.hours.iter().filter(|hour| hour.tries.tries() > 0).collect();
        let [HourFigures { at: first, tries: then }, HourFigures { at: last, tries: now }] = hours[..] else {
            panic!("{hours:?}")
        };
        assert_eq!((first.minute(), last.minute()), (hour - 23 * 60, hour));
        assert_eq!((figures(*then), figures(*now)), ((4, 2, p100, p100), (7, 1, p100, p2000)));
        assert_eq!((overview.hours.first().unwrap().at, overview.hours.last().unwrap().at), (*first, *last));
        assert_eq!((overview.dead_letters, overview.has_delivered, overview.has_verified), (3, true, true));

        let overview = store.overview(theirs, at(0)).await.unwrap();
        assert_eq!((overview.webhooks, overview.dead_letters, overview.has_delivered), (0, 0, false));
    }

    async fn failing_webhooks(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let options = DeliveryOptions { disable_after: 7, ..DeliveryOptions::default() };
        let active = |number| Webhook { state: WebhookState::Active, ..webhook(number) };
        let because = |number, reason: &str| Webhook {
            state: WebhookState::Disabled,
            state_reason: Some(reason.into()),
            ..webhook(number)
        };
        for (organization, webhook, failures) in [
            (ours, active(10), 0),
            (ours, Webhook { options, ..active(11) }, 4),
            (ours, active(12), 5),
            (ours, Webhook { state: WebhookState::Disabled, state_reason: None, ..webhook(13) }, 6),
            (ours, because(14, "The endpoint answered 410 Gone"), 1),
            (ours, Webhook { state: WebhookState::Paused, ..webhook(15) }, 8),
            (theirs, because(16, "9 tries in a row failed"), 9),
        ] {
            let id = store_webhook(fresh, organization, webhook).await;
            fail(fresh, organization, id, failures).await;
        }
        store_webhook(fresh, ours, active(17)).await;
        let found = store.failing_webhooks(ours, 10).await.unwrap();
        let short: Vec<_> = found.iter().map(|it| (&*it.name, it.state, it.consecutive_failures)).collect();
        let names = [14, 12, 11].map(|number| webhook(number).name);
        assert_eq!(short, [
            (&*names[0], WebhookState::Disabled, 1),
            (&*names[1], WebhookState::Active, 5),
            (&*names[2], WebhookState::Active, 4),
        ]);
        assert_eq!(found[0].state_reason.as_deref(), Some("The endpoint answered 410 Gone"));
        assert_eq!(found[2].options, options);
        assert_eq!(store.failing_webhooks(ours, 1).await.unwrap().len(), 1);
    }

    async fn rates_of_thirty_days(fresh) {
        let store = &fresh.store;
        let (ours, theirs) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let (first, second, third) = (
            store_webhook(fresh, ours, webhook(10)).await,
            store_webhook(fresh, ours, webhook(11)).await,
            store_webhook(fresh, ours, webhook(12)).await,
        );
        let today = at(0).minute().div_euclid(1440) * 1440;
        let row = |bucket, slot, delivered, failed| Rollup { grain: 1440, bucket, slot, delivered, failed };
        for (organization, webhook, rollup) in [
            (ours, first, row(today, 0, 2, 1)),
            (ours, first, row(today, 9, 1, 0)),
            (ours, first, row(today - 29 * 1440, 0, 5, 7)),
            (ours, first, row(today - 30 * 1440, 0, 100, 100)),
            (ours, first, Rollup { grain: 60, ..row(today, 0, 100, 100) }),
            (ours, second, row(today, 0, 11, 13)),
            (theirs, first, row(today, 0, 100, 100)),
        ] {
            count(fresh, organization, webhook, rollup).await;
        }
        let page = store.webhooks(ours, None, 10, at(0)).await.unwrap().data;
        assert_eq!(
            page.iter().map(|webhook| (webhook.delivered_30d, webhook.failed_30d)).collect::<Vec<_>>(),
            [(0, 0), (11, 13), (8, 8)]
        );
        let one = store.webhook(ours, first, at(0)).await.unwrap().unwrap();
        assert_eq!((one.delivered_30d, one.failed_30d), (8, 8));

        let days = store.webhook_days(ours, first, third, at(0)).await.unwrap();
        assert_eq!(days.keys().collect::<Vec<_>>(), [&first, &second]);
        let of_first = &days[&first];
        assert_eq!(of_first.len(), 30);
        assert_eq!((of_first[0], of_first[29]), (
            DayTries { delivered: 5, failed: 7 },
            DayTries { delivered: 3, failed: 1 },
        ));
        assert!(of_first[1..29].iter().all(|day| *day == DayTries::default()));
        let days = store.webhook_days(ours, second, second, at(0)).await.unwrap();
        assert_eq!(days.keys().collect::<Vec<_>>(), [&second]);
    }
}
