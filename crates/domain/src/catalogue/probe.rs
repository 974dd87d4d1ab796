//! How a provider's health is found out.

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
    /// A question that the receiver answers by echoing it: `{"type":"challenge","challenge":"…"}`.
    Challenge {
        /// Where to.
        url: Template,
    },
    /// The call of an OAuth connection's account.
    Oauth,
}

fn get() -> String {
    "GET".to_owned()
}
