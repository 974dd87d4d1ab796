//! Why a signature verifies or does not. Receivers go wrong in few ways: another secret, a body that was parsed and written
//! again, a secret that was not decoded, a timestamp in the wrong unit. Each is tried, and at most two at once. It refuses to say
//! anything of a secret but whether it fits. Long because half of it is tests: each way to go wrong is signed as a receiver would.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::{
    EventId, OrganizationId, Permission, Problems, Timestamp, WebhookId,
    api::{
        ApiError, ErrorCode, SignatureFinding as Finding, SignatureQuestion, SignatureScheme as Scheme,
        SignatureSlip as Slip, SignedWith,
    },
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{Actor, Engine, Result, error::refused, secrets::Secret, signature::SECRET_PREFIX};

/// Largest body that is looked at, in bytes: it is hashed some hundred times.
const MAX_BODY: usize = 256 * 1024;
/// A timestamp from here on counts milliseconds: in seconds it is the year 5138.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

impl Engine {
    /// Why the signature of a request that a webhook's receiver got verifies or does not.
    pub async fn explain_signature(
        &self,
        actor: &Actor,
        id: WebhookId,
        question: SignatureQuestion,
    ) -> Result<Vec<Finding>> {
        actor.require(Permission::ReadWebhooks)?;
        let headers = headers(&question.headers);
        if headers.is_empty() {
            return Err(Problems::one("headers", "Paste the headers, one per line, such as webhook-id: evt_…").into());
        }
        if question.body.len() > MAX_BODY {
            return Err(Problems::one("body", "The body must be at most 256 KB here").into());
        }
        let mut candidates = Vec::new();
        if let Some(given) = question.secret {
            candidates.push((Secret::new(given.trim()), SignedWith::Given));
        }
        candidates.extend(self.signing_secrets(actor.organization, id).await?);
        let received = Received {
            sent: self.sent_body(actor, &headers).await,
            headers,
            body: question.body,
            body_header: format!("{}-Signature", self.inner.config.header_prefix),
        };
        let now = self.now();
        let explained = tokio::task::spawn_blocking(move || explain(&received, &candidates, now));
        explained.await.map_err(|_| ApiError::new(ErrorCode::Internal, "The request could not be looked at"))
    }

    /// The secrets of a webhook that sign now.
    async fn signing_secrets(&self, organization: OrganizationId, id: WebhookId) -> Result<Vec<(Secret, SignedWith)>> {
        let stored = self.inner.store.webhook_secrets(organization, id, self.now()).await.map_err(refused)?;
        if stored.is_empty() {
            return Err(ApiError::not_found("Webhook"));
        }
        let open = |secret: storage::StoredSecret| {
            let opened = self.inner.keyring.open("webhook_secrets", "secret", secret.id, &secret.secret).ok()?;
            Some((opened, secret.expires_at.map_or(SignedWith::Current, SignedWith::Older)))
        };
        Ok(stored.into_iter().filter_map(open).collect())
    }

    /// What was sent under this `webhook-id`, if that is an event whose payload is still there.
    async fn sent_body(&self, actor: &Actor, headers: &[(String, String)]) -> Option<String> {
        let id: EventId = value(headers, "webhook-id")?.parse().ok()?;
        self.event(actor, id).await.ok().map(|event| event.body)
    }
}

/// A request as its receiver got it.
struct Received {
    headers: Vec<(String, String)>,
    body: String,
    /// What was sent.
    sent: Option<String>,
    /// Name of the header with the signature over the body.
    body_header: String,
}

/// Headers out of what was pasted: lines, as logs and curl write them, or a JSON object.
fn headers(text: &str) -> Vec<(String, String)> {
    if let Ok(object) = serde_json::from_str::<std::collections::BTreeMap<String, serde_json::Value>>(text) {
        let first = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Array(list) => list.first().and_then(|it| it.as_str()).unwrap_or_default().to_owned(),
            other => other.to_string(),
        };
        return object.into_iter().map(|(name, value)| (name, first(value))).collect();
    }
    let line = |line: &str| {
        let line = line.trim().trim_end_matches('\\').trim();
        let line = line.strip_prefix("-H").unwrap_or(line).trim_start_matches(['>', '<', ' ']);
        let (name, value) = line.trim_matches(['\'', '"', ',']).split_once(':')?;
        let clean = |text: &str| text.trim().trim_matches(['\'', '"']).trim().to_owned();
        Some((clean(name), clean(value))).filter(|(name, _)| !name.is_empty() && !name.contains(' '))
    };
    text.lines().filter_map(line).collect()
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
}

/// Everything that was found, in the order in which a receiver checks.
fn explain(received: &Received, candidates: &[(Secret, SignedWith)], now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_readable = |secret: &Secret| decoded(secret.expose()).is_some();
    if candidates.iter().any(|(secret, with)| *with == SignedWith::Given && !is_readable(secret)) {
        findings.push(Finding::SecretUnreadable);
    }
    let standard = value(&received.headers, "webhook-signature");
    let over_body = value(&received.headers, &received.body_header);
    if standard.is_none() && over_body.is_none() {
        findings.push(Finding::NoSignature);
        return findings;
    }
    let bodies = bodies(received);
    if let Some(header) = standard {
        let id = value(&received.headers, "webhook-id");
        let timestamp = value(&received.headers, "webhook-timestamp");
        findings.extend(id.is_none().then_some(Finding::NoId));
        findings.extend(timestamp.map_or(vec![Finding::NoTimestamp], |text| judge_timestamp(text, now)));
        let contents = contents(id.unwrap_or_default(), timestamp.unwrap_or_default());
        let signatures =
            header.split([' ', ';']).filter_map(|entry| read(entry, "v1,", Slip::Hexadecimal)).collect::<Vec<_>>();
        findings.push(search(Scheme::Standard, &signatures, candidates, &contents, &bodies));
    }
    if let Some(header) = over_body {
        let signature = read(header, "sha256=", Slip::Base64);
        findings.push(search(Scheme::Body, signature.as_slice(), candidates, &[(String::new(), None)], &bodies));
    }
    let is_others = |it: &Finding| matches!(it, Finding::Signed { with, .. } if *with != SignedWith::Given);
    if candidates.iter().any(|(_, with)| *with == SignedWith::Given) && findings.iter().any(is_others) {
        findings.push(Finding::OtherSecret);
    }
    if let Some(sent) = received.sent.as_deref().filter(|sent| *sent != bodies[0].0 && *sent != received.body) {
        let same = sent.bytes().zip(bodies[0].0.bytes()).take_while(|(sent, got)| sent == got).count();
        findings.push(Finding::BodyDiffers(same as u64));
    }
    findings
}

fn judge_timestamp(text: &str, now: Timestamp) -> Vec<Finding> {
    let Ok(number) = text.parse::<i64>() else { return vec![Finding::TimestampUnreadable] };
    let in_ms = number >= FIRST_MILLISECONDS;
    let age = now.unix_seconds() - if in_ms { number / 1000 } else { number };
    let is_recent = age.abs() <= Finding::TOLERANCE_S;
    let judged = if is_recent { Finding::TimestampRecent(age) } else { Finding::TimestampOff(age) };
    in_ms.then_some(Finding::TimestampInMilliseconds).into_iter().chain([judged]).collect()
}

/// A MAC as a header has it, and what is odd in how it is written.
struct Signature {
    mac: Vec<u8>,
    slips: Vec<Slip>,
}

/// Reads one signature; `odd` is what its other alphabet is called.
fn read(text: &str, prefix: &str, odd: Slip) -> Option<Signature> {
    let (text, mut slips) = match text.trim().strip_prefix(prefix) {
        Some(text) => (text, Vec::new()),
        None => (text.trim(), vec![Slip::NoPrefix]),
    };
    let mac = match (from_hex(text), odd) {
        (Some(mac), Slip::Base64) => mac,
        (Some(mac), _) => {
            slips.push(odd);
            mac
        }
        (None, _) => {
            slips.extend(Some(odd).filter(|odd| *odd == Slip::Base64));
            BASE64_STANDARD.decode(text).ok()?
        }
    };
    (mac.len() == 32).then_some(Signature { mac, slips })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Something tried in place of what is right, and the slip that it would be.
type Tried<T> = (T, Option<Slip>);

/// The body as it is, and as receivers spoil it.
fn bodies(received: &Received) -> Vec<Tried<String>> {
    // A form turns every line end into CR LF, whatever was pasted.
    let pasted = received.body.replace("\r\n", "\n");
    let mut bodies = vec![(pasted.clone(), None)];
    let mut add = |body: String, slip| {
        if bodies.iter().all(|(other, _)| *other != body) {
            bodies.push((body, slip));
        }
    };
    add(received.body.clone(), None);
    add(pasted.trim().to_owned(), Some(Slip::BodyTrimmed));
    if let Some(sent) = &received.sent {
        add(sent.clone(), Some(Slip::BodyAsSent));
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(&pasted).is_ok() {
        add(rewritten(&pasted, ""), Some(Slip::BodyCompact));
        add(rewritten(&pasted, " "), Some(Slip::BodySpaced));
    }
    bodies
}

/// JSON with `gap` after each comma and colon and no other white space; values stay as they are written.
fn rewritten(json: &str, gap: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            out.push(c);
        } else if !c.is_ascii_whitespace() {
            in_string = c == '"';
            out.push(c);
            if matches!(c, ',' | ':') {
                out.push_str(gap);
            }
        }
    }
    out
}

/// What Standard Webhooks signs before the body, and what receivers take instead.
fn contents(id: &str, timestamp: &str) -> Vec<Tried<String>> {
    let mut contents = vec![(format!("{id}.{timestamp}."), None)];
    if let Ok(number) = timestamp.parse::<i64>() {
        let other = if number >= FIRST_MILLISECONDS { number / 1000 } else { number.saturating_mul(1000) };
        contents.push((format!("{id}.{other}."), Some(Slip::TimestampUnit)));
    }
    contents.push((format!("{timestamp}."), Some(Slip::NoId)));
    contents.push((format!("{id}."), Some(Slip::NoTimestamp)));
    contents.push((String::new(), Some(Slip::BodyOnly)));
    contents
}

/// What a secret decodes to; the prefix may be missing.
fn decoded(secret: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret)).ok()
}

/// The keys that are made of a secret, the right one first.
fn keys(secret: &str, scheme: Scheme) -> Vec<Tried<Vec<u8>>> {
    let bare = secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret);
    let text = format!("{SECRET_PREFIX}{bare}").into_bytes();
    let bytes = decoded(secret).map(|bytes| (bytes, Some(Slip::KeyDecoded).filter(|_| scheme == Scheme::Body)));
    let text = (text, Some(Slip::KeyNotDecoded).filter(|_| scheme == Scheme::Standard));
    let bare = (bare.as_bytes().to_vec(), Some(Slip::KeyWithoutPrefix));
    match scheme {
        Scheme::Standard => bytes.into_iter().chain([text, bare]).collect(),
        Scheme::Body => [text].into_iter().chain(bytes).chain([bare]).collect(),
    }
}

/// The fewest slips with which one of `signatures` fits.
fn search(
    scheme: Scheme,
    signatures: &[Signature],
    candidates: &[(Secret, SignedWith)],
    contents: &[Tried<String>],
    bodies: &[Tried<String>],
) -> Finding {
    if signatures.is_empty() {
        return Finding::Unreadable(scheme);
    }
    let mut best: Option<(SignedWith, Vec<Slip>)> = None;
    for (secret, with) in candidates {
        for (key, key_slip) in keys(secret.expose(), scheme) {
            let Ok(mac) = Hmac::<Sha256>::new_from_slice(&key) else { continue };
            for (content, content_slip) in contents {
                for (body, body_slip) in bodies {
                    let slips: Vec<Slip> = [key_slip, *content_slip, *body_slip].into_iter().flatten().collect();
                    if slips.len() > 2 || best.as_ref().is_some_and(|(_, best)| best.len() <= slips.len()) {
                        continue;
                    }
                    let mut mac = mac.clone();
                    mac.update(content.as_bytes());
                    mac.update(body.as_bytes());
                    let made = mac.finalize().into_bytes();
                    if let Some(signature) = signatures.iter().find(|it| bool::from(it.mac.ct_eq(&made))) {
                        best = Some((*with, slips.into_iter().chain(signature.slips.iter().copied()).collect()));
                    }
                }
            }
        }
    }
    match best {
        Some((with, slips)) => Finding::Signed { scheme, with, slips },
        None => Finding::Unknown(scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SigningKey;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const BODY: &str = "{\"id\":\"evt_1\",\"data\":{\"rate\":85.00,\"list\":[1,2]}}";
    const NOW: Timestamp = Timestamp::from_millis(1_700_000_100_000);
    const UNTIL: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn mac(key: &[u8], message: &str) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    fn hex(bytes: &[u8]) -> String {
        let digit = |it: u8| char::from_digit(it.into(), 16).unwrap();
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// What is found of the signature of one scheme with the webhook's two secrets, and `given` before them.
    fn found(signature: (&str, &str), timestamp: &str, body: &str, given: Option<&str>) -> Vec<Finding> {
        let headers = [("Webhook-Id", "evt_1"), ("webhook-timestamp", timestamp), signature];
        let received = Received {
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.to_owned(),
            sent: Some(BODY.to_owned()),
            body_header: "X-InTime-Signature".into(),
        };
        let given = given.map(|given| (Secret::new(given), SignedWith::Given));
        let stored = [(Secret::new(SECRET), SignedWith::Current), (Secret::new(OLD), SignedWith::Older(UNTIL))];
        explain(&received, &given.into_iter().chain(stored).collect::<Vec<_>>(), NOW)
    }

    fn standard(with: SignedWith, slips: &[Slip]) -> Finding {
        Finding::Signed { scheme: Scheme::Standard, with, slips: slips.to_vec() }
    }

    fn signed(secret: &str, timestamp: &str) -> String {
        SigningKey::new(secret, None).unwrap().standard("evt_1", timestamp, BODY.as_bytes())
    }

    const RECENT: &str = "1700000000";

    #[test]
    fn what_is_sent_verifies_with_its_secret_also_an_old_one() {
        let recent = Finding::TimestampRecent(100);
        let found = |signature: &str, given| found(("webhook-signature", signature), RECENT, BODY, given);
        let current = signed(SECRET, RECENT);
        assert_eq!(found(&current, None), [recent.clone(), standard(SignedWith::Current, &[])]);
        assert_eq!(found(&current, Some(SECRET)), [recent.clone(), standard(SignedWith::Given, &[])]);
        let without_prefix = SECRET.strip_prefix(SECRET_PREFIX);
        assert_eq!(found(&current, without_prefix), [recent.clone(), standard(SignedWith::Given, &[])]);
        let older = standard(SignedWith::Older(UNTIL), &[]);
        assert_eq!(found(&signed(OLD, RECENT), None), [recent.clone(), older]);
        // During an overlap both sign.
        let both = format!("{} {current}", signed(OLD, RECENT));
        assert_eq!(found(&both, None), [recent, standard(SignedWith::Current, &[])]);
    }

    #[test]
    fn a_wrong_secret_is_told_from_a_wrong_request() {
        let found = |signature: &str, given| found(("webhook-signature", signature), RECENT, BODY, given);
        let wrong = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let theirs = [standard(SignedWith::Current, &[]), Finding::OtherSecret];
        assert_eq!(found(&signed(SECRET, RECENT), Some(wrong))[1..], theirs);
        assert_eq!(found(&signed(wrong, RECENT), None)[1], Finding::Unknown(Scheme::Standard));
        assert_eq!(found("v1,nonsense", None)[1], Finding::Unreadable(Scheme::Standard));
        assert_eq!(found(&signed(SECRET, RECENT), Some("not base64!"))[0], Finding::SecretUnreadable);
    }

    #[test]
    fn every_slip_of_standard_webhooks_is_named() {
        let bytes = BASE64_STANDARD.decode(&SECRET[6..]).unwrap();
        let entry = |key: &[u8], message: String| format!("v1,{}", BASE64_STANDARD.encode(mac(key, &message)));
        let message = |body: &str| format!("evt_1.{RECENT}.{body}");
        for (signature, slips) in [
            (entry(SECRET.as_bytes(), message(BODY)), vec![Slip::KeyNotDecoded]),
            (entry(&SECRET.as_bytes()[6..], message(BODY)), vec![Slip::KeyWithoutPrefix]),
            (entry(&bytes, format!("evt_1.{RECENT}000.{BODY}")), vec![Slip::TimestampUnit]),
            (entry(&bytes, format!("{RECENT}.{BODY}")), vec![Slip::NoId]),
            (entry(&bytes, format!("evt_1.{BODY}")), vec![Slip::NoTimestamp]),
            (entry(&bytes, BODY.to_owned()), vec![Slip::BodyOnly]),
            (entry(SECRET.as_bytes(), BODY.to_owned()), vec![Slip::KeyNotDecoded, Slip::BodyOnly]),
            (format!("v1,{}", hex(&mac(&bytes, &message(BODY)))), vec![Slip::Hexadecimal]),
            (BASE64_STANDARD.encode(mac(&bytes, &message(BODY))), vec![Slip::NoPrefix]),
            (entry(&bytes, message(&rewritten(BODY, " "))), vec![Slip::BodySpaced]),
        ] {
            let found = found(("webhook-signature", &signature), RECENT, BODY, None);
            assert_eq!(found[1], standard(SignedWith::Current, &slips), "{signature}");
        }
    }

    #[test]
    fn a_body_that_was_written_again_is_found_out() {
        let spoiled = |body: &str| found(("webhook-signature", &signed(SECRET, RECENT)), RECENT, body, None);
        let pretty = BODY.replace(',', ",\r\n  ");
        assert_eq!(spoiled(&pretty)[1], standard(SignedWith::Current, &[Slip::BodyAsSent]));
        assert_eq!(spoiled(&pretty)[2], Finding::BodyDiffers(14));
        let changed = BODY.replace("85.00", "85");
        assert_eq!(
            spoiled(&changed)[1..],
            [standard(SignedWith::Current, &[Slip::BodyAsSent]), Finding::BodyDiffers(31)]
        );
        assert_eq!(spoiled(&format!("{BODY}\r\n"))[1], standard(SignedWith::Current, &[Slip::BodyTrimmed]));
        assert_eq!(rewritten("{ \"a b\\\" ,:\" : [1, 2] }", ""), "{\"a b\\\" ,:\":[1,2]}");
        assert_eq!(rewritten("{\"a\":[1,2]}", " "), "{\"a\": [1, 2]}");
    }

    #[test]
    fn timestamps_are_judged() {
        let judged = |timestamp: &str| {
            let mut found = found(("webhook-signature", &signed(SECRET, timestamp)), timestamp, BODY, None);
            found.retain(|it| !matches!(it, Finding::Signed { .. }));
            found
        };
        assert_eq!(judged("1699999800"), [Finding::TimestampRecent(300)]);
        assert_eq!(judged("1699999799"), [Finding::TimestampOff(301)]);
        assert_eq!(judged("1700000401"), [Finding::TimestampOff(-301)]);
        assert_eq!(judged("1700000000000"), [Finding::TimestampInMilliseconds, Finding::TimestampRecent(100)]);
        assert_eq!(judged("yesterday"), [Finding::TimestampUnreadable]);
        // The header was multiplied on the way; what was signed was seconds.
        let found = found(("webhook-signature", &signed(SECRET, RECENT)), "1700000000000", BODY, None);
        assert_eq!(found[2], standard(SignedWith::Current, &[Slip::TimestampUnit]));
    }

    #[test]
    fn the_signature_over_the_body_has_slips_of_its_own() {
        let bytes = BASE64_STANDARD.decode(&SECRET[6..]).unwrap();
        let right = mac(SECRET.as_bytes(), BODY);
        for (header, slips) in [
            (format!("sha256={}", hex(&right)), vec![]),
            (format!("sha256={}", hex(&right).to_uppercase()), vec![]),
            (hex(&right), vec![Slip::NoPrefix]),
            (format!("sha256={}", BASE64_STANDARD.encode(&right)), vec![Slip::Base64]),
            (format!("sha256={}", hex(&mac(&bytes, BODY))), vec![Slip::KeyDecoded]),
            (format!("sha256={}", hex(&mac(&SECRET.as_bytes()[6..], BODY))), vec![Slip::KeyWithoutPrefix]),
        ] {
            let found = found(("x-intime-signature", &header), RECENT, BODY, None);
            assert_eq!(found, [Finding::Signed { scheme: Scheme::Body, with: SignedWith::Current, slips }], "{header}");
        }
    }

    #[test]
    fn headers_are_read_as_people_paste_them() {
        let expected = [("webhook-id", "evt_1"), ("webhook-timestamp", "1")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for text in [
            "webhook-id: evt_1\nwebhook-timestamp: 1\n",
            "-H 'webhook-id: evt_1' \\\r\n  -H 'webhook-timestamp: 1' \\",
            "> POST /hooks HTTP/1.1\n> webhook-id: evt_1\n> webhook-timestamp: 1",
            "{\"webhook-id\": \"evt_1\", \"webhook-timestamp\": [\"1\"]}",
            "'webhook-id': 'evt_1',\n'webhook-timestamp': '1',",
        ] {
            assert_eq!(headers(text), expected, "{text}");
        }
        assert!(headers("nothing of the kind").is_empty());
        let missing = Received { headers: headers("a: b"), body: String::new(), sent: None, body_header: "x".into() };
        assert_eq!(explain(&missing, &[], NOW), [Finding::NoSignature]);
    }
}
