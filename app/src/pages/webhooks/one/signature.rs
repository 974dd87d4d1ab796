//! Why a receiver refuses a signature: what it got is pasted, and every way to go wrong is told from the others.

use domain::{
    api::{SignatureFinding as Finding, SignatureScheme as Scheme, SignatureSlip as Slip, SignedWith},
    human_ms,
};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use std::sync::Arc;

use crate::{
    action::{ActionForm, ServerAction},
    calls::webhooks::{ExplainSignature, WebhookLine},
    components::{
        field::{FieldError, FormProblem, Refusal, TextField},
        icon::icon,
        status::{Tone, count, status},
    },
    pages::lazy::Shown,
    time::Time,
};

const HEADERS_EXAMPLE: &str = "webhook-id: evt_…\nwebhook-timestamp: 1614265330\nwebhook-signature: v1,…";

/// The tab, as a download of its own.
#[lazy(fallible)]
pub fn webhook_signature(webhook: Arc<WebhookLine>, explain: ServerAction<ExplainSignature>) -> Shown {
    Ok(tab(&webhook, explain))
}

fn tab(webhook: &WebhookLine, explain: ServerAction<ExplainSignature>) -> AnyView {
    let refusal = Refusal::of(explain);
    let id = webhook.id.to_string();
    let query = use_query_map().get_untracked();
    let typed = |name: &str| query.get(name).unwrap_or_default();
    let (headers, body) = (typed("headers"), typed("body"));
    // Without JavaScript the answer comes back in the address.
    let before: Option<Vec<Finding>> = crate::objects::from_str(&typed("found")).ok();
    let found = move || match explain.answer() {
        Some(Ok(found)) => Some(found),
        Some(Err(_)) => None,
        None => before.clone(),
    };
    let pending = explain.pending();
    view! {
        <div class="stack-wide page-narrow">
            <ActionForm action=explain attr:class="card form" attr:novalidate=true>
                <h2>"Signature explainer"</h2>
                <p class="muted">
                    "Paste a request as your receiver got it, and read why its signature verifies or does not."
                </p>
                <FormProblem refusal />
                <input type="hidden" name="id" value=id />
                {area("Headers", "headers", HEADERS_EXAMPLE, headers, refusal)}
                {area("Body", "body", "{\"id\":\"evt_…\",\"event\":…", body, refusal)}
                <TextField
                    label="Secret"
                    name="secret"
                    kind="password"
                    placeholder="whsec_…"
                    hint="The one that your receiver uses. Without it the webhook's own secrets are tried; they are not shown."
                    refusal
                />
                <div class="form-foot">
                    <button class="btn btn-primary" disabled=pending>
                        "Explain"
                    </button>
                </div>
            </ActionForm>
            <div role="status">{move || found().map(|found| answer(&found))}</div>
        </div>
    }
    .into_any()
}

fn area(label: &'static str, name: &'static str, example: &'static str, value: String, refusal: Refusal) -> AnyView {
    view! {
        <div class="field">
            <label class="field-label" for=name>
                {label}
            </label>
            <textarea
                class="input mono"
                id=name
                name=name
                rows="6"
                spellcheck="false"
                autocomplete="off"
                placeholder=example
                aria-invalid=move || refusal.field(name).map(|_| "true")
                aria-describedby=format!("{name}-error")
            >
                {value}
            </textarea>
            <FieldError refusal name />
        </div>
    }
    .into_any()
}

const fn tone(finding: &Finding) -> Tone {
    match finding {
        Finding::TimestampRecent(_) => Tone::Good,
        Finding::Signed { slips, with, .. } if slips.is_empty() => match with {
            SignedWith::Given | SignedWith::Current => Tone::Good,
            SignedWith::Older(_) => Tone::Warn,
        },
        // Whoever looks at a request does so later than its receiver.
        Finding::TimestampOff(_) => Tone::Warn,
        _ => Tone::Bad,
    }
}

fn answer(found: &[Finding]) -> AnyView {
    let is_wrong = found.iter().any(|it| tone(it) == Tone::Bad);
    let headline = if is_wrong { "The signature does not verify" } else { "The signature verifies" };
    let items = found.iter().map(|finding| {
        let (tone, name, word) = match tone(finding) {
            Tone::Good => (Tone::Good, "check", "Right"),
            Tone::Warn => (Tone::Warn, "alert", "Look"),
            _ => (Tone::Bad, "x", "Wrong"),
        };
        view! {
            <li>
                {status(tone, name, word)}
                <div class="grow">{words(finding)}</div>
            </li>
        }
    });
    view! {
        <section class="card stack findings" aria-labelledby="findings">
            <h2 id="findings">{icon(if is_wrong { "x" } else { "check" })} " " {headline}</h2>
            <ul>{items.collect_view()}</ul>
        </section>
    }
    .into_any()
}

const fn header(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Standard => "webhook-signature",
        Scheme::Body => "X-InTime-Signature",
    }
}

fn words(finding: &Finding) -> AnyView {
    let (what, help) = match finding {
        Finding::NoSignature => (
            "There is no signature among the headers.".to_owned(),
            "It is in webhook-signature and in X-InTime-Signature. A proxy in front of the receiver may take headers away.",
        ),
        Finding::NoId => ("webhook-id is missing.".to_owned(), "It is part of what is signed."),
        Finding::NoTimestamp => ("webhook-timestamp is missing.".to_owned(), "It is part of what is signed."),
        Finding::SecretUnreadable => {
            ("The secret that you gave is not whsec_ and base64.".to_owned(), "Copy all of it from the tab Secret.")
        }
        Finding::OtherSecret => (
            "The webhook signs with another secret than the one that you gave.".to_owned(),
            "Give the receiver the secret of this webhook: each webhook has its own.",
        ),
        Finding::TimestampUnreadable => {
            ("webhook-timestamp is no number.".to_owned(), "It counts the seconds since 1970.")
        }
        Finding::TimestampInMilliseconds => (
            "webhook-timestamp is in milliseconds.".to_owned(),
            "It is sent in seconds. Compare seconds with seconds, and sign the header as it came.",
        ),
        Finding::TimestampRecent(age) => (format!("The timestamp is recent: {}.", ago(*age)), ""),
        Finding::TimestampOff(age) => (
            format!("The timestamp is {}.", ago(*age)),
            "Receivers refuse more than 5 minutes. If the request arrived in time this is only because you look at it later; if not, check the receiver's clock.",
        ),
        Finding::Signed { scheme, with, slips } => return signed(*scheme, *with, slips),
        Finding::Unknown(scheme) => (
            format!("{} fits no secret of this webhook.", header(*scheme)),
            "It was made with another webhook's secret or with one that was revoked, or the body was changed.",
        ),
        Finding::Unreadable(scheme) => (
            format!("{} holds no signature.", header(*scheme)),
            match scheme {
                Scheme::Standard => "It is v1, and base64 of 32 bytes; several are separated by spaces.",
                Scheme::Body => "It is sha256= and 64 hexadecimal digits.",
            },
        ),
        Finding::BodyDiffers(bytes) => (
            format!(
                "The body is not the one that was sent: only its first {} are the same.",
                count(i64::try_from(*bytes).unwrap_or(i64::MAX), "byte", "bytes")
            ),
            "Verify the raw bytes of the request, before anything parses them.",
        ),
    };
    view! {
        <p>{what}</p>
        <p class="muted">{help}</p>
    }
    .into_any()
}

fn ago(age_s: i64) -> String {
    let span = human_ms(age_s.abs() * 1000);
    if age_s < 0 { format!("{span} ahead of the server's clock") } else { format!("{span} ago") }
}

fn signed(scheme: Scheme, with: SignedWith, slips: &[Slip]) -> AnyView {
    let secret = match with {
        SignedWith::Given => "the secret that you gave",
        SignedWith::Current => "the webhook's secret",
        SignedWith::Older(_) => "a secret that was replaced",
    };
    let until = match with {
        SignedWith::Older(at) => Some(view! {
            <p class="muted">"It signs until " <Time at /> ". Give the receiver the new one before."</p>
        }),
        SignedWith::Given | SignedWith::Current => None,
    };
    let name = header(scheme);
    if slips.is_empty() {
        return view! {
            <p>{format!("{name} verifies with {secret}.")}</p>
            {until}
        }
        .into_any();
    }
    let slips = slips.iter().map(|it| view! { <li>{slip(*it, scheme)}</li> }).collect_view();
    view! {
        <p>{format!("{name} was made with {secret}, but not as it should be:")}</p>
        <ul class="slips">{slips}</ul>
        {until}
    }
    .into_any()
}

const fn slip(slip: Slip, scheme: Scheme) -> &'static str {
    match (slip, scheme) {
        (Slip::KeyNotDecoded, _) => {
            "The key is the secret's text. Decode what follows whsec_ from base64, and use these bytes."
        }
        (Slip::KeyWithoutPrefix, Scheme::Standard) => {
            "The key is the text after whsec_. Decode it from base64, and use the bytes."
        }
        (Slip::KeyWithoutPrefix, Scheme::Body) => "The key is the text after whsec_. Use all of it, whsec_ too.",
        (Slip::KeyDecoded, _) => "The key is the decoded secret. This header is keyed with its text, whsec_ too.",
        (Slip::BodyTrimmed, _) => "White space around the body is left out. Verify the raw bytes of the request.",
        (Slip::BodyCompact | Slip::BodySpaced, _) => {
            "The body is written with other spaces: it was parsed and written again. Verify the raw bytes of the request."
        }
        (Slip::BodyAsSent, _) => {
            "It fits the body that was sent, not the one that you pasted, which was changed: most often it was parsed and written again. Verify the raw bytes of the request."
        }
        (Slip::TimestampUnit, _) => {
            "Seconds and milliseconds are mixed up. Sign the text of webhook-timestamp as it came."
        }
        (Slip::NoId, _) => "The id is left out. What is signed is id.timestamp.body.",
        (Slip::NoTimestamp, _) => "The timestamp is left out. What is signed is id.timestamp.body.",
        (Slip::BodyOnly, _) => "Only the body is signed. What is signed is id.timestamp.body.",
        (Slip::Hexadecimal, _) => "It is written in hexadecimal. This header has base64.",
        (Slip::Base64, _) => "It is written in base64. This header has hexadecimal digits.",
        (Slip::NoPrefix, Scheme::Standard) => "v1, is missing in front of it.",
        (Slip::NoPrefix, Scheme::Body) => "sha256= is missing in front of it.",
    }
}
