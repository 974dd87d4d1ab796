//! What a provider is asked: whether it works, and to do a piece of work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A text in which `{name}` stands for the value of a field, secret or not.
pub type Template = String;

/// A request that proves that the provider is there and knows us, and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Probe {
    /// Connect, greet, encrypt, sign in, and leave, with the fields `smtp_host`, `smtp_port`, `smtp_username` and
    /// `smtp_password`.
    Smtp,
    /// One authenticated request; 2xx is good.
    Http {
        /// `GET`, unless it says otherwise.
        #[serde(default = "get")]
        method: String,
        /// Where to; values are written into it as they are.
        url: Template,
        /// Headers, such as `Authorization`.
        #[serde(default)]
        headers: BTreeMap<String, Template>,
        /// User name and password of basic authentication.
        #[serde(default)]
        basic: Option<(Template, Template)>,
        /// A body, sent as JSON unless a header says otherwise; filled by [`super::fill_json`].
        #[serde(default)]
        body: Option<Template>,
        /// A body of names and values, sent as `application/x-www-form-urlencoded`; instead of `body`.
        #[serde(default)]
        form: BTreeMap<String, Template>,
        /// Other statuses that are good, such as the 400 of a request that is refused only for being empty.
        #[serde(default)]
        also_good: Vec<u16>,
        /// Where this is not empty, an `also_good` status is good only if the answer contains one of these texts.
        #[serde(default)]
        good_texts: Vec<String>,
    },
    /// A signed HEAD of a bucket, with the fields `endpoint`, `region`, `bucket`, `access_key_id` and
    /// `secret_access_key`.
    S3,
    /// Whether the folder that the operator opened can be written.
    Folder,
    /// A question that the receiver answers by echoing it: `{"type":"challenge","challenge":"…"}`.
    Challenge {
        /// Where to.
        url: Template,
    },
    /// The call of an OAuth connection's account.
    Oauth,
}

/// How a piece of work is handed to a provider. Templates know the fields, and what the work brings: for a text message `to`
/// (`+15551234567`), `digits` (the same without the plus) and `text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Handover {
    /// As an e-mail to an address that stands for the recipient.
    Smtp {
        /// The address.
        to: Template,
    },
    /// By one POST; 2xx means that it was taken.
    Http {
        /// Where to.
        url: Template,
        /// User name and password of basic authentication.
        #[serde(default)]
        basic: Option<(Template, Template)>,
        /// Headers, such as `Authorization`.
        #[serde(default)]
        headers: BTreeMap<String, Template>,
        /// Names and values, sent as `application/x-www-form-urlencoded`.
        form: BTreeMap<String, Template>,
    },
    /// By a signed PUT into the bucket.
    S3,
    /// By writing it into the folder that the operator opened, under the field `folder`.
    Folder,
}

fn get() -> String {
    "GET".to_owned()
}
