//! E-mails, as they are sent, shown and stopped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    BAD_IDEMPOTENCY_KEY, EmailId, EmailTemplateId, IntegrationId, Problems, Timestamp,
    catalogue::{Fault, is_email},
    is_idempotency_key,
    words::words,
};

/// Most characters of a subject.
const MAX_SUBJECT: usize = 500;
/// Most bytes of a text or an HTML body, rendered or not.
pub const MAX_EMAIL_BODY: usize = 512 * 1024;
/// Most characters of a category.
const MAX_CATEGORY: usize = 50;
/// Most characters of a template's name.
const MAX_TEMPLATE_NAME: usize = 100;

words! {
    /// What became of an e-mail.
    pub enum EmailState {
        /// It waits for its first try.
        Queued = "queued",
        /// The provider took it. That is not yet its arrival.
        Sent = "sent",
        /// A try failed, and another one follows.
        Deferred = "deferred",
        /// The recipient's server refused it for good.
        Bounced = "bounced",
        /// The recipient reported it as spam.
        Complained = "complained",
        /// It was not sent, because the recipient does not want it or cannot be reached.
        Suppressed = "suppressed",
        /// It was given up.
        Failed = "failed",
    }

    /// What happened to an e-mail on its way.
    pub enum EmailStepKind {
        /// A try failed, and another one follows.
        Deferred = "deferred",
        /// The provider took it.
        Sent = "sent",
        /// The provider said that it had arrived.
        Delivered = "delivered",
        /// It came back, or was refused for its recipient.
        Bounced = "bounced",
        /// Its recipient reported it as spam.
        Complained = "complained",
        /// Its recipient does not want any more of it.
        Unsubscribed = "unsubscribed",
        /// It was not sent, because the recipient does not want it or cannot be reached.
        Suppressed = "suppressed",
        /// It was given up.
        Failed = "failed",
    }

    /// Why nothing is sent to an address.
    pub enum SuppressionReason {
        /// Mail to it came back for good.
        Bounce = "bounce",
        /// Its owner reported mail as spam.
        Complaint = "complaint",
        /// A person or a program said so.
        Manual = "manual",
    }
}

/// An e-mail to be sent: either a template's name, or a subject with a text, an HTML body or both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmailDraft {
    /// The recipient's address.
    pub to: String,
    /// A template's name.
    pub template: Option<String>,
    /// Subject, if no template says it. May contain `{{ values }}`.
    pub subject: String,
    /// As text. May contain `{{ values }}`.
    pub text: String,
    /// As HTML, in which values are escaped.
    pub html: String,
    /// Values for what stands in double braces.
    pub data: BTreeMap<String, Value>,
    /// What it is about, such as `digest`: recipients can unsubscribe from a category. Without one it is a message that its
    /// recipient needs, and always sent.
    pub category: Option<String>,
    /// The integration that sends it; without one, the first active one of type e-mail by name.
    pub integration_id: Option<IntegrationId>,
    /// Whether it may be sent once more when it is not known if the provider took it. It is then marked. Where others stand
    /// in for the integration, it is sent once more in any case.
    pub allow_duplicate: bool,
    /// 1–255 printable characters. For 24 hours, the same key with the same e-mail sends it once.
    pub idempotency_key: Option<String>,
}

impl EmailDraft {
    /// Checks what can be checked without asking anybody.
    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        if self.to.trim().is_empty() {
            problems.add("to", "Recipient is required");
        } else if !is_email(self.to.trim()) {
            problems.add("to", "Please enter a valid email address");
        }
        if self.template.is_none() {
            if self.subject.trim().is_empty() {
                problems.add("subject", "Subject is required");
            }
            if self.text.trim().is_empty() && self.html.trim().is_empty() {
                problems.add("text", "A text or an HTML body is required");
            }
        } else if !(self.subject.is_empty() && self.text.is_empty() && self.html.is_empty()) {
            problems.add("template", "Give a template or the words themselves, not both");
        }
        check_words(&mut problems, &self.subject, &self.text, &self.html);
        check_category(&mut problems, self.category.as_deref());
        if self.idempotency_key.as_deref().is_some_and(|key| !is_idempotency_key(key)) {
            problems.add("idempotency_key", BAD_IDEMPOTENCY_KEY);
        }
        problems
    }
}

fn check_words(problems: &mut Problems, subject: &str, text: &str, html: &str) {
    if subject.chars().count() > MAX_SUBJECT {
        problems.add("subject", format!("Subject must be at most {MAX_SUBJECT} characters"));
    }
    for (field, body) in [("text", text), ("html", html)] {
        if body.len() > MAX_EMAIL_BODY {
            problems.add(field, "The body must be at most 512 KB");
        }
    }
}

fn check_category(problems: &mut Problems, category: Option<&str>) {
    let is_name = |text: &str| {
        (1..=MAX_CATEGORY).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.".contains(&byte))
    };
    if category.is_some_and(|category| !is_name(category)) {
        problems.add("category", "A category has at most 50 small letters, digits, dashes, underscores and full stops");
    }
}

/// An e-mail and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Email {
    /// Its id; also in its `Message-ID`.
    pub id: EmailId,
    /// The recipient's address.
    pub to: String,
    /// Subject, filled in.
    pub subject: String,
    /// The template it was made from.
    pub template: Option<String>,
    /// What it is about.
    pub category: Option<String>,
    /// The integration that sent it, or is to.
    pub integration_id: Option<IntegrationId>,
    /// What became of it.
    pub state: EmailState,
    /// Tries that were begun.
    pub tries: i64,
    /// When it is tried next.
    pub next_try_at: Option<Timestamp>,
    /// The last reply, or what went wrong.
    pub detail: String,
    /// In which class.
    pub fault: Option<Fault>,
    /// It was sent again although an earlier try may have arrived.
    pub possibly_duplicated: bool,
    /// It may have arrived, although no reply said so.
    pub possibly_sent: bool,
    /// When the provider took it.
    pub sent_at: Option<Timestamp>,
    /// When the provider said that it had arrived.
    pub delivered_at: Option<Timestamp>,
    /// When it was accepted here.
    pub created_at: Timestamp,
}

/// One step of an e-mail on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmailStep {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: EmailStepKind,
    /// The integration that tried.
    pub integration_id: Option<IntegrationId>,
    /// The provider's reply, or what went wrong.
    pub detail: String,
    /// In which class.
    pub fault: Option<Fault>,
}

/// An e-mail with its words, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmailDetail {
    /// The e-mail.
    #[serde(flatten)]
    pub email: Email,
    /// What is sent, filled in.
    pub content: RenderedEmail,
    /// What happened, the oldest first; at most 50 steps are kept. One that was only put off is none.
    pub steps: Vec<EmailStep>,
}

/// What an integration has sent, and what it may send. Hours and days are those of UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmailUsage {
    /// E-mails sent in this hour.
    pub hour: i64,
    /// E-mails that may be sent in an hour; without one, as many as there are.
    pub hour_limit: Option<i64>,
    /// E-mails sent on this day.
    pub day: i64,
    /// E-mails that may be sent on a day; without one, as many as there are.
    pub day_limit: Option<i64>,
}

/// Which e-mails are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct EmailQuery {
    /// In this state.
    pub state: Option<EmailState>,
    /// To this address.
    pub to: Option<String>,
    /// Of this integration.
    pub integration_id: Option<IntegrationId>,
    /// E-mails per page, 1–250; 50 when not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// An address to which nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Suppression {
    /// The address, in small letters.
    pub email: String,
    /// Why.
    pub reason: SuppressionReason,
    /// What the provider said, or a note.
    pub detail: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// Which suppressed addresses are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct SuppressionQuery {
    /// Those in whose address this text stands.
    pub q: Option<String>,
    /// For this reason.
    pub reason: Option<SuppressionReason>,
    /// Addresses per page, 1–200; 50 when not given.
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// An address to which nothing is to be sent from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SuppressionDraft {
    /// The address.
    pub email: String,
    /// A note, at most 500 characters.
    pub detail: String,
}

impl SuppressionDraft {
    /// Checks it.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if !is_email(self.email.trim()) {
            problems.add("email", "Please enter a valid email address");
        }
        if self.detail.chars().count() > MAX_SUBJECT {
            problems.add("detail", "A note must be at most 500 characters");
        }
        problems.or(())
    }
}

/// Words for e-mails that are sent again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmailTemplate {
    /// Its id.
    pub id: EmailTemplateId,
    /// By which it is used, unique.
    pub name: String,
    /// Subject.
    pub subject: String,
    /// As text.
    pub text: String,
    /// As HTML.
    pub html: String,
    /// Category of e-mails that are made from it.
    pub category: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
}

/// A template, new or changed. Values stand in double braces: `Dear {{ name }}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmailTemplateDraft {
    /// Its name.
    pub name: String,
    /// Subject.
    pub subject: String,
    /// As text; without one, it is made from the HTML.
    pub text: String,
    /// As HTML, in which values are escaped.
    pub html: String,
    /// What such e-mails are about.
    pub category: Option<String>,
}

impl EmailTemplateDraft {
    /// Checks what can be checked without rendering.
    pub fn check(&self) -> Problems {
        let mut problems = Problems::default();
        let name = self.name.trim();
        if name.is_empty() {
            problems.add("name", "Template name is required");
        } else if name.chars().count() > MAX_TEMPLATE_NAME {
            problems.add("name", "Template name must be at most 100 characters");
        }
        if self.subject.trim().is_empty() {
            problems.add("subject", "Subject is required");
        }
        if self.text.trim().is_empty() && self.html.trim().is_empty() {
            problems.add("text", "A text or an HTML body is required");
        }
        check_words(&mut problems, &self.subject, &self.text, &self.html);
        check_category(&mut problems, self.category.as_deref());
        problems
    }
}

/// What a preview is filled with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmailPreviewRequest {
    /// The words.
    pub draft: EmailTemplateDraft,
    /// Values for what stands in double braces.
    pub data: BTreeMap<String, Value>,
    /// Whether a value that is not given is shown as its name in brackets; else it is an error, as it would be when sent.
    pub samples: bool,
}

/// Words with their values filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RenderedEmail {
    /// Subject, on one line.
    pub subject: String,
    /// As text.
    pub text: String,
    /// As HTML; empty when there is none.
    pub html: String,
}
