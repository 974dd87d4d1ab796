//! The bodies of SendGrid, Mailgun, Postmark and SES, read into what they say. Opens and clicks say nothing that is kept.

use serde_json::Value;
use storage::EmailNewsKind as Kind;

use super::Said;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A list of events, several e-mails in one.
pub(super) fn sendgrid(body: &[u8]) -> Option<Vec<Said>> {
    let events: Vec<Value> = serde_json::from_slice(body).ok()?;
    let said = events.iter().filter_map(|event| {
        let kind = match event["event"].as_str()? {
            "delivered" => Kind::Delivered,
            // A blocked message is refused for what it is, not for where it goes.
            "bounce" if event["type"] == "blocked" => Kind::Refused,
            "bounce" => Kind::Bounced,
            "deferred" => Kind::Deferred,
            "spamreport" => Kind::Complained,
            "unsubscribe" | "group_unsubscribe" => Kind::Unsubscribed,
            _ => return None,
        };
        let detail = [&event["reason"], &event["response"]].into_iter().find_map(Value::as_str).unwrap_or_default();
        Some(Said {
            message_id: optional(&event["smtp-id"]),
            to: text(&event["email"]),
            kind,
            detail: detail.to_owned(),
        })
    });
    Some(said.collect())
}

/// One event.
pub(super) fn mailgun(body: &[u8]) -> Option<Vec<Said>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let event = &body["event-data"];
    let kind = match event["event"].as_str()? {
        "delivered" => Kind::Delivered,
        "failed" if event["severity"] == "permanent" => Kind::Bounced,
        "failed" => Kind::Deferred,
        "complained" => Kind::Complained,
        "unsubscribed" => Kind::Unsubscribed,
        _ => return Some(Vec::new()),
    };
    let status = &event["delivery-status"];
    let words = [&status["message"], &status["description"]];
    let detail = words.into_iter().find_map(|text| text.as_str().filter(|text| !text.is_empty()));
    Some(vec![Said {
        message_id: optional(&event["message"]["headers"]["message-id"]),
        to: text(&event["recipient"]),
        kind,
        detail: detail.unwrap_or_default().to_owned(),
    }])
}

/// One event.
pub(super) fn postmark(body: &[u8]) -> Option<Vec<Said>> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let (kind, to) = match event["RecordType"].as_str()? {
        "Delivery" => (Kind::Delivered, &event["Recipient"]),
        // Postmark itself stops sending to an address when it is hopeless.
        "Bounce" if event["Inactive"] == true || event["Type"] == "HardBounce" => (Kind::Bounced, &event["Email"]),
        "Bounce" => (Kind::Deferred, &event["Email"]),
        "SpamComplaint" => (Kind::Complained, &event["Email"]),
        "SubscriptionChange" if event["SuppressSending"] == true => (Kind::Unsubscribed, &event["Recipient"]),
        _ => return Some(Vec::new()),
    };
    let words = [&event["Description"], &event["Details"], &event["SuppressionReason"]];
    let detail = words.into_iter().find_map(|text| text.as_str().filter(|text| !text.is_empty()));
    // The id in it is Postmark's own: the e-mail is found by its recipient.
    Some(vec![Said { message_id: None, to: text(to), kind, detail: detail.unwrap_or_default().to_owned() }])
}

/// One event, of the kind that is configured for an identity or that of a configuration set.
pub(super) fn ses(message: &str) -> Option<Vec<Said>> {
    let event: Value = serde_json::from_str(message).ok()?;
    let kind = event["eventType"].as_str().or_else(|| event["notificationType"].as_str())?;
    let (recipients, kind): (&Value, Kind) = match kind {
        "Bounce" if event["bounce"]["bounceType"] == "Permanent" => {
            (&event["bounce"]["bouncedRecipients"], Kind::Bounced)
        }
        "Bounce" => (&event["bounce"]["bouncedRecipients"], Kind::Refused),
        "Complaint" => (&event["complaint"]["complainedRecipients"], Kind::Complained),
        "Delivery" => (&event["delivery"]["recipients"], Kind::Delivered),
        _ => return Some(Vec::new()),
    };
    let mail = &event["mail"];
    let headers = mail["headers"].as_array().into_iter().flatten();
    let message_id = headers
        .filter(|header| header["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("message-id")))
        .find_map(|header| optional(&header["value"]));
    let said = recipients.as_array().into_iter().flatten().map(|recipient| Said {
        message_id: message_id.clone(),
        to: recipient.as_str().map_or_else(|| text(&recipient["emailAddress"]), str::to_owned),
        kind,
        detail: text(&recipient["diagnosticCode"]),
    });
    Some(said.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(said: Option<Vec<Said>>) -> Vec<(Kind, String, Option<String>)> {
        said.expect("it is read").into_iter().map(|said| (said.kind, said.to, said.message_id)).collect()
    }

    #[test]
    fn bodies_as_the_providers_document_them() {
        let body = json!([
            {"email": "a@example.com", "event": "bounce", "type": "bounce", "reason": "550 5.1.1", "smtp-id": "<eml_1@x>"},
            {"email": "b@example.com", "event": "bounce", "type": "blocked"},
            {"email": "c@example.com", "event": "open"},
            {"email": "d@example.com", "event": "spamreport"},
        ]);
        let said = kinds(sendgrid(body.to_string().as_bytes()));
        assert_eq!(said[0], (Kind::Bounced, "a@example.com".into(), Some("<eml_1@x>".into())));
        assert_eq!((said[1].0, said[2].0, said.len()), (Kind::Refused, Kind::Complained, 3));
        assert_eq!(sendgrid(b"{}"), None);

        let body = |severity: &str| {
            json!({"event-data": {"event": "failed", "severity": severity, "recipient": "a@example.com",
                "message": {"headers": {"message-id": "eml_1@x"}}, "delivery-status": {"message": "", "description": "No"}}})
            .to_string()
        };
        let said = mailgun(body("permanent").as_bytes()).unwrap();
        assert_eq!((said[0].kind, said[0].detail.as_str()), (Kind::Bounced, "No"));
        assert_eq!(mailgun(body("temporary").as_bytes()).unwrap()[0].kind, Kind::Deferred);
        assert_eq!(mailgun(b"{\"event-data\":{\"event\":\"opened\"}}"), Some(Vec::new()));

        let body =
            json!({"RecordType": "Bounce", "Type": "HardBounce", "Email": "a@example.com", "Description": "gone"});
        assert_eq!(kinds(postmark(body.to_string().as_bytes())), [(Kind::Bounced, "a@example.com".into(), None)]);
        let body = json!({"RecordType": "SubscriptionChange", "Recipient": "a@example.com", "SuppressSending": false});
        assert_eq!(postmark(body.to_string().as_bytes()), Some(Vec::new()));

        let body = json!({"notificationType": "Bounce", "bounce": {"bounceType": "Permanent",
            "bouncedRecipients": [{"emailAddress": "a@example.com", "diagnosticCode": "smtp; 550"}]},
            "mail": {"headers": [{"name": "Message-ID", "value": "<eml_1@x>"}]}});
        let said = kinds(ses(&body.to_string()));
        assert_eq!(said, [(Kind::Bounced, "a@example.com".into(), Some("<eml_1@x>".into()))]);
        let body = json!({"eventType": "Delivery", "delivery": {"recipients": ["a@example.com"]}, "mail": {}});
        assert_eq!(kinds(ses(&body.to_string()))[0].0, Kind::Delivered);
    }
}
