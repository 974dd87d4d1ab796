//! Work that programs hand over to be done at once by whichever integration does it now: text messages, files.

use serde::{Deserialize, Serialize};

use crate::{IntegrationId, Problems, words::words};

/// Longest text of a message, in characters: what providers take as one message of several parts.
const MAX_TEXT: usize = 1_600;
/// Fewest and most digits of a telephone number (ITU-T E.164 §6.2.1 says at most 15).
const DIGITS: (usize, usize) = (7, 15);
/// Longest key of a file, in characters, as in S3 and as file systems take it.
const MAX_KEY: usize = 512;
/// Longest part of a key between slashes, in characters.
const MAX_PART: usize = 200;

/// A text message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SmsDraft {
    /// The recipient's number as `+` and digits (E.164), such as `+15551234567`.
    pub to: String,
    /// What it says, 1–1,600 characters.
    pub text: String,
    /// The integration that is to send it, or whose backup is; the first by name that can when nothing is said.
    pub integration_id: Option<IntegrationId>,
}

impl SmsDraft {
    /// Checks every limit.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let digits = self.to.strip_prefix('+').unwrap_or_default();
        let is_number = (DIGITS.0..=DIGITS.1).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if !is_number {
            problems.add("to", "Please enter a number such as +15551234567");
        }
        if self.text.trim().is_empty() {
            problems.add("text", "Text is required");
        } else if self.text.chars().count() > MAX_TEXT {
            problems.add("text", "Text must be at most 1600 characters");
        } else if self.text.contains('\0') {
            problems.add("text", "Text holds a NUL character");
        }
        problems.or(())
    }
}

words! {
    /// What became of a text message.
    pub enum SmsState {
        /// A provider took it.
        Sent = "sent",
        /// A provider had it and did not say whether it took it. It is not sent again.
        Uncertain = "uncertain",
    }
}

/// A text message that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SentSms {
    /// What became of it.
    pub state: SmsState,
    /// Who has it.
    pub integration_id: IntegrationId,
    /// As it is called.
    pub integration_name: String,
    /// What it said, or how far it came.
    pub detail: String,
}

/// A file that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoredFile {
    /// Under which key.
    pub key: String,
    /// How large it is, in bytes.
    pub size_bytes: u64,
    /// Who has it.
    pub integration_id: IntegrationId,
    /// As it is called.
    pub integration_name: String,
    /// Another one may have it too, because it did not say so.
    pub possibly_elsewhere: bool,
}

/// Which integration is to do it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams))]
#[cfg_attr(feature = "openapi", into_params(parameter_in = Query))]
pub struct FileQuery {
    /// The integration that is to keep it, or whose backup is; the first by name that can when nothing is said.
    pub integration_id: Option<IntegrationId>,
}

/// Checks a key: parts between slashes, of letters, digits, dots, dashes and underscores, none of which begins with a dot. So it
/// means the same in a bucket, in a folder and in a URL, and leads out of none.
pub fn check_file_key(key: &str) -> Result<(), &'static str> {
    let is_part = |part: &str| {
        (1..=MAX_PART).contains(&part.len())
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if key.len() > MAX_KEY {
        Err("A key must be at most 512 characters")
    } else if key.split('/').all(is_part) {
        Ok(())
    } else {
        Err(
            "A key is made of letters, digits, dots, dashes and underscores, with slashes between its parts; no part begins \
             with a dot",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_nowhere_else() {
        for good in ["a", "reports/2026/11.csv", "A-b_c.d/e"] {
            assert_eq!(check_file_key(good), Ok(()), "{good}");
        }
        let (part, key) = ("x".repeat(201), format!("{}x", "x/".repeat(256)));
        for bad in ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", ".a", "a b", "a\\b", "ä", "a%2e", &part, &key] {
            assert!(check_file_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_written_as_e_164_has_them() {
        let problems = |to: &str, text: &str| {
            let draft = SmsDraft { to: to.into(), text: text.into(), integration_id: None };
            draft.check().err().map(|problems| problems.into_vec().len()).unwrap_or_default()
        };
        assert_eq!(problems("+15551234567", "x"), 0);
        for wrong in
            ["", "15551234567", "+0555123456", "+123456", "+1234567890123456", "+1 555 1234567", "+1555123456x"]
        {
            assert_eq!(problems(wrong, "x"), 1, "{wrong}");
        }
        assert_eq!(problems("+15551234567", &"ü".repeat(1_600)), 0);
        assert_eq!(problems("+15551234567", &"ü".repeat(1_601)), 1);
        assert_eq!(problems("", " "), 2);
    }
}
