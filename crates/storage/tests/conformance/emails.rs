//! E-mails, their templates, and who does not want them.

use domain::{
    EmailId, EmailTemplateId, IntegrationId, NodeId,
    api::{
        EmailQuery, EmailState, EmailStepKind, EmailTemplateDraft, RenderedEmail, SuppressionQuery, SuppressionReason,
    },
    catalogue::Fault,
};
use storage::{EmailNews, EmailNewsKind, NewEmail, QueuedEmail, SettledEmail, StoreError};

use crate::{
    Fresh,
    cold::{at, audit, id, organization},
    conformance,
};

pub(crate) fn email(number: i64, to: &str, category: Option<&str>) -> NewEmail {
    NewEmail {
        id: id::<EmailId>(number),
        integration: Some(id::<IntegrationId>(1)),
        to: to.into(),
        template: None,
        category: category.map(str::to_owned),
        content: RenderedEmail { subject: format!("subject {number}"), text: "text".into(), html: String::new() },
        allow_duplicate: false,
        at: at(number),
        idempotency: None,
    }
}

fn settled(number: i64, state: EmailState) -> SettledEmail {
    SettledEmail {
        id: id(number),
        state,
        counts: true,
        next_try_at: None,
        integration: Some(id(1)),
        detail: "250 taken".into(),
        fault: None,
        possibly_sent: false,
        sent_at: (state == EmailState::Sent).then(|| at(number + 1)),
        suppress: None,
    }
}

conformance! {
    /// An e-mail is taken once, and what became of it is stored by the node that has it.
    async fn an_email_is_taken_once_and_settled(fresh) {
        let store = &fresh.store;
        let ours = organization(fresh, 1).await;
        let other = organization(fresh, 2).await;
        for number in [1, 2, 3] {
            let state = store.queue_email(ours, email(number, "a@example.com", None)).await.unwrap();
            assert_eq!(state, QueuedEmail::New(EmailState::Queued));
        }
        assert_eq!(store.next_email_at().await.unwrap(), Some(at(1)));
        let (first, second) = (id::<NodeId>(1), id::<NodeId>(2));
        let mut taken = store.take_emails(first, at(10), 2).await.unwrap();
        taken.sort_by_key(|row| row.email.id);
        let numbers: Vec<_> = taken.iter().map(|row| row.email.id).collect();
        assert_eq!(numbers, [id(1), id(2)]);
        assert_eq!((taken[0].email.tries, taken[0].organization), (1, ours));
        assert_eq!(taken[0].content.subject, "subject 1");
        let rest = store.take_emails(second, at(10), 9).await.unwrap();
        assert_eq!(rest.iter().map(|row| row.email.id).collect::<Vec<_>>(), [id::<EmailId>(3)]);
        assert_eq!(store.next_email_at().await.unwrap(), None);

        let sent = settled(1, EmailState::Sent);
        assert!(!store.settle_email(second, ours, sent.clone(), at(11)).await.unwrap(), "another node has it");
        assert!(!store.settle_email(first, other, sent.clone(), at(11)).await.unwrap(), "it is not theirs");
        assert!(store.settle_email(first, ours, sent.clone(), at(11)).await.unwrap());
        assert!(!store.settle_email(first, ours, sent, at(11)).await.unwrap(), "it is settled already");
        let row = store.email(ours, id(1)).await.unwrap().unwrap();
        assert_eq!((row.email.state, row.email.sent_at, row.email.tries), (EmailState::Sent, Some(at(2)), 1));
        assert!(store.email(other, id(1)).await.unwrap().is_none());
        let steps = store.email_steps(ours, id(1)).await.unwrap();
        assert_eq!(steps.len(), 1);
        assert_eq!((steps[0].kind, steps[0].at, &*steps[0].detail), (EmailStepKind::Sent, at(11), "250 taken"));
        assert!(store.email_steps(other, id(1)).await.unwrap().is_empty());

        // One that was put off for a limit has not been tried.
        let mut deferred = settled(2, EmailState::Queued);
        deferred.counts = false;
        deferred.next_try_at = Some(at(20));
        deferred.fault = Some(Fault::RateLimited);
        assert!(store.settle_email(first, ours, deferred, at(11)).await.unwrap());
        assert!(store.take_emails(first, at(19), 9).await.unwrap().is_empty());
        let again = store.take_emails(first, at(20), 9).await.unwrap();
        assert_eq!((again.len(), again[0].email.tries, again[0].email.fault), (1, 1, Some(Fault::RateLimited)));
        assert!(store.email_steps(ours, id(2)).await.unwrap().is_empty(), "and is no step");
        store.mark_duplicated(first, id(2)).await.unwrap();
        store.release_email(first, id(2)).await.unwrap();
        let row = store.email(ours, id(2)).await.unwrap().unwrap();
        assert_eq!((row.email.tries, row.email.possibly_duplicated), (0, true));

        // What a node had in hand when it went may have arrived.
        store.unregister(second).await.unwrap();
        let row = store.email(ours, id(3)).await.unwrap().unwrap();
        assert!(row.email.possibly_sent);
        assert_eq!(store.take_emails(first, at(30), 9).await.unwrap().len(), 2);

        let query = EmailQuery { state: Some(EmailState::Sent), to: Some(" A@example.com ".into()), ..EmailQuery::default() };
        let page = store.emails(ours, &query, None, 10).await.unwrap();
        assert_eq!(page.data.iter().map(|email| email.id).collect::<Vec<_>>(), [id::<EmailId>(1)]);
        let page = store.emails(ours, &EmailQuery::default(), None, 2).await.unwrap();
        assert_eq!(page.data.iter().map(|email| email.id).collect::<Vec<_>>(), [id::<EmailId>(3), id(2)]);
        assert!(page.next_cursor.is_some());
        assert!(store.emails(other, &EmailQuery::default(), None, 2).await.unwrap().data.is_empty());

        assert_eq!(store.prune_emails(ours, at(100)).await.unwrap(), 1, "only what is not tried any more");
        assert!(store.email(ours, id(1)).await.unwrap().is_none());
    }

    /// The same key makes one e-mail for a day, whoever is faster, in one organization.
    async fn a_key_makes_one_email(fresh) {
        let (ours, other) = (organization(fresh, 1).await, organization(fresh, 2).await);
        let queue = async |organization, number, print: u8, at| {
            let idempotency = Some(("key".to_owned(), [print; 32]));
            let new = NewEmail { idempotency, at, ..email(number, "a@example.com", None) };
            fresh.store.queue_email(organization, new).await.unwrap()
        };
        let fresh_one = QueuedEmail::New(EmailState::Queued);
        let known = |number| QueuedEmail::Known(id(number));
        assert_eq!(queue(ours, 1, 7, at(1)).await, fresh_one);
        assert_eq!(queue(ours, 2, 7, at(2)).await, known(1));
        assert_eq!(queue(ours, 3, 8, at(3)).await, QueuedEmail::KeyReused);
        assert_eq!(queue(other, 4, 8, at(4)).await, fresh_one);
        assert_eq!(fresh.store.emails(ours, &EmailQuery::default(), None, 9).await.unwrap().data.len(), 1);
        let day = 24 * 3_600_000;
        assert_eq!(queue(ours, 5, 8, at(day + 2)).await, fresh_one, "it is forgotten after a day");
        assert_eq!(queue(ours, 6, 8, at(day + 3)).await, known(5));
        assert_eq!(fresh.store.forget_idempotency_keys(at(day + 5), 9).await.unwrap(), 1);
        let both = tokio::join!(queue(other, 7, 9, at(2 * day)), queue(other, 8, 9, at(2 * day)));
        assert!(both == (fresh_one, known(7)) || both == (known(8), fresh_one), "{both:?}");
    }

    /// Who does not want e-mail gets none, except what they need.
    async fn who_does_not_want_email_gets_none(fresh) {
        let store = &fresh.store;
        let ours = organization(fresh, 1).await;
        let other = organization(fresh, 2).await;
        assert!(store.suppress(ours, "gone@example.com".into(), "left".into(), audit("x", 5)).await.unwrap());
        assert!(!store.suppress(ours, "gone@example.com".into(), "again".into(), audit("x", 6)).await.unwrap());
        for (organization, number, to, category, state) in [
            (ours, 1, "gone@example.com", None, EmailState::Suppressed),
            (ours, 2, "here@example.com", Some("digest"), EmailState::Queued),
            (other, 3, "gone@example.com", None, EmailState::Queued),
        ] {
            let queued = store.queue_email(organization, email(number, to, category)).await.unwrap();
            assert_eq!(queued, QueuedEmail::New(state), "{number}");
        }
        let row = store.email(ours, id(1)).await.unwrap().unwrap();
        assert_eq!(row.email.detail, "The address is on the suppression list: manual");
        assert_eq!(row.email.next_try_at, None);

        store.unsubscribe(ours, "here@example.com".into(), Some("digest".into()), at(7)).await.unwrap();
        store.unsubscribe(ours, "here@example.com".into(), Some("digest".into()), at(8)).await.unwrap();
        let unwanted = async |category| store.unwanted(ours, "here@example.com", category).await.unwrap().is_some();
        assert!(unwanted(Some("digest")).await);
        assert!(!unwanted(Some("news")).await && !unwanted(None).await);
        store.unsubscribe(ours, "here@example.com".into(), None, at(9)).await.unwrap();
        assert!(unwanted(Some("news")).await && !unwanted(None).await);
        assert_eq!(store.unsubscribed(ours, "here@example.com").await.unwrap(), ["*", "digest"]);
        assert!(store.unsubscribed(other, "here@example.com").await.unwrap().is_empty());
        store.subscribe(ours, "here@example.com".into(), Some("*".into())).await.unwrap();
        assert!(!unwanted(Some("news")).await && unwanted(Some("digest")).await);
        store.subscribe(ours, "here@example.com".into(), None).await.unwrap();
        assert!(!unwanted(Some("digest")).await);

        store.suppress(ours, "also@example.com".into(), String::new(), audit("x", 7)).await.unwrap();
        let page = store.suppressions(ours, &SuppressionQuery::default(), 1).await.unwrap();
        assert_eq!(page.data[0].email, "also@example.com");
        let page = store.suppressions(ours, &SuppressionQuery { cursor: page.next_cursor, ..SuppressionQuery::default() }, 1).await.unwrap();
        assert_eq!((page.data[0].email.as_str(), page.data[0].reason), ("gone@example.com", SuppressionReason::Manual));
        assert_eq!((page.data[0].detail.as_str(), page.next_cursor), ("left", None));
        let found = async |q: &str, reason| {
            let query = SuppressionQuery { q: Some(q.into()), reason, ..SuppressionQuery::default() };
            store.suppressions(ours, &query, 9).await.unwrap().data.into_iter().map(|it| it.email).collect::<Vec<_>>()
        };
        assert_eq!(found("ONE@", None).await, ["gone@example.com"]);
        assert_eq!(found("example", Some(SuppressionReason::Manual)).await.len(), 2);
        assert!(found("example", Some(SuppressionReason::Bounce)).await.is_empty());
        assert!(found("%", None).await.is_empty() && found("_", None).await.is_empty(), "they mean themselves");
        assert!(store.unsuppress(ours, "gone@example.com".into(), audit("x", 8)).await.unwrap());
        assert!(!store.unsuppress(ours, "gone@example.com".into(), audit("x", 9)).await.unwrap());
    }

    /// What providers say changes the e-mail it is about, and only what the integration has sent.
    async fn providers_are_heard(fresh) {
        let store = &fresh.store;
        let ours = organization(fresh, 1).await;
        let node = id::<NodeId>(1);
        for (number, category) in [(1, None), (2, Some("digest")), (3, None)] {
            store.queue_email(ours, email(number, "a@example.com", category)).await.unwrap();
        }
        store.take_emails(node, at(5), 9).await.unwrap();
        for number in [1, 2] {
            store.settle_email(node, ours, settled(number, EmailState::Sent), at(6)).await.unwrap();
        }
        let news = |id, kind| EmailNews { id, to: "a@example.com".into(), kind, detail: format!("{kind:?}"), at: at(9) };
        let hear = async |integration, news| store.hear_of_emails(ours, id(integration), vec![news]).await.unwrap();
        assert_eq!(hear(2, news(Some(id(1)), EmailNewsKind::Bounced)).await, 0, "not what that integration sent");
        assert_eq!(hear(1, news(Some(id(3)), EmailNewsKind::Bounced)).await, 0, "it was not sent yet");
        assert_eq!(hear(1, news(Some(id(1)), EmailNewsKind::Delivered)).await, 1);
        assert_eq!(hear(1, news(None, EmailNewsKind::Unsubscribed)).await, 1, "the newest one that was sent");
        assert_eq!(store.unsubscribed(ours, "a@example.com").await.unwrap(), ["digest"]);
        let row = store.email(ours, id(1)).await.unwrap().unwrap();
        assert_eq!((row.email.state, row.email.delivered_at), (EmailState::Sent, Some(at(9))));
        assert!(store.suppressions(ours, &SuppressionQuery::default(), 9).await.unwrap().data.is_empty());
        assert_eq!(hear(1, news(Some(id(1)), EmailNewsKind::Complained)).await, 1);
        assert_eq!(hear(1, news(Some(id(2)), EmailNewsKind::Bounced)).await, 1);
        let states = [1, 2].map(async |number| store.email(ours, id(number)).await.unwrap().unwrap().email.state);
        let [first, second] = states;
        assert_eq!([first.await, second.await], [EmailState::Complained, EmailState::Bounced]);
        let kinds: Vec<_> = store.email_steps(ours, id(1)).await.unwrap().iter().map(|step| step.kind).collect();
        assert_eq!(kinds, [EmailStepKind::Sent, EmailStepKind::Delivered, EmailStepKind::Complained]);
        for _ in 0..60 {
            hear(1, news(Some(id(2)), EmailNewsKind::Deferred)).await;
        }
        assert_eq!(store.email_steps(ours, id(2)).await.unwrap().len(), 50, "what providers say is bounded");
        let list = store.suppressions(ours, &SuppressionQuery::default(), 9).await.unwrap().data;
        assert_eq!(list.len(), 1);
        assert_eq!((list[0].reason, list[0].detail.as_str()), (SuppressionReason::Complaint, "Complained"));
    }

    /// The limits of an hour and of a day hold over all nodes.
    async fn limits_hold(fresh) {
        let store = &fresh.store;
        let (integration, hour) = (id::<IntegrationId>(1), 3_600_000);
        let reserve = async |limits, now| store.reserve_sending(integration, limits, at(now)).await.unwrap();
        let begin = (at(0).millis().div_euclid(hour) + 24) * hour - at(0).millis();
        for _ in 0..2 {
            assert_eq!(reserve([2, 3], begin).await, None);
        }
        assert_eq!(reserve([2, 3], begin + 1).await, Some(at(begin + hour)), "until the next hour");
        assert_eq!(store.email_usage(integration, at(begin)).await.unwrap(), [2, 2]);
        assert_eq!(reserve([2, 3], begin + hour).await, None);
        let day = 24 * hour;
        let tomorrow = (at(begin).millis().div_euclid(day) + 1) * day;
        let wait = reserve([2, 3], begin + hour + 1).await;
        assert_eq!(wait.map(domain::Timestamp::millis), Some(tomorrow), "until the next day");
        assert_eq!(store.email_usage(integration, at(begin + hour)).await.unwrap(), [1, 3]);
    }

    /// Templates belong to an organization, and their names are unique in it.
    async fn templates_are_kept(fresh) {
        let store = &fresh.store;
        let ours = organization(fresh, 1).await;
        let other = organization(fresh, 2).await;
        let draft = |name: &str| EmailTemplateDraft {
            name: name.into(),
            subject: "Hello {{ name }}".into(),
            text: "text".into(),
            html: "<p>html</p>".into(),
            category: Some("digest".into()),
        };
        let number = id::<EmailTemplateId>;
        let new = store.put_email_template(ours, number(1), draft("welcome"), true, audit("x", 1)).await.unwrap().unwrap();
        assert_eq!((new.created_at, new.html.as_str()), (at(1), "<p>html</p>"));
        let taken = store.put_email_template(ours, number(2), draft("welcome"), true, audit("x", 2)).await;
        assert!(matches!(taken, Err(StoreError::Conflict("email_templates_name"))), "{taken:?}");
        store.put_email_template(other, number(3), draft("welcome"), true, audit("x", 3)).await.unwrap().unwrap();
        let changed = store.put_email_template(ours, number(1), draft("greeting"), false, audit("x", 4)).await.unwrap();
        assert_eq!(changed.map(|t| (t.name, t.created_at, t.updated_at)), Some(("greeting".into(), at(1), at(4))));
        let theirs = store.put_email_template(ours, number(3), draft("mine"), false, audit("x", 5)).await.unwrap();
        assert!(theirs.is_none(), "it is not ours");
        assert_eq!(store.email_templates(ours).await.unwrap().len(), 1);
        assert!(store.email_template(ours, "greeting").await.unwrap().is_some());
        assert!(store.email_template(ours, "welcome").await.unwrap().is_none());
        assert!(!store.delete_email_template(ours, number(3), audit("x", 6)).await.unwrap());
        assert!(store.delete_email_template(ours, number(1), audit("x", 7)).await.unwrap());
    }
}
