//! Which alerts a member wants to hear of, and how.

use serde::{Deserialize, Serialize};

use crate::{AlertRule, AlertSettings};

/// Which alerts a member is told of, by each way that leads to them alone. Rules that the organization muted are told to
/// nobody. What a later version notices besides is not in the lists until the member chooses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotificationPreferences {
    /// By e-mail, to the address that they sign in with.
    pub email: Vec<AlertRule>,
    /// By their browser, where it was allowed to.
    pub browser: Vec<AlertRule>,
}

impl NotificationPreferences {
    /// Of a member who said nothing: by e-mail what the organization sends to their address, by the browser everything.
    pub fn unsaid(settings: &AlertSettings, address: &str) -> Self {
        let is_listed = settings.emails.iter().any(|email| email.to_lowercase() == address);
        Self { email: if is_listed { AlertRule::ALL.to_vec() } else { Vec::new() }, browser: AlertRule::ALL.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_is_told_as_before() {
        let settings = AlertSettings { emails: vec!["Ada@example.com".into()], ..AlertSettings::default() };
        let ada = NotificationPreferences::unsaid(&settings, "ada@example.com");
        assert_eq!((ada.email.len(), ada.browser.len()), (AlertRule::ALL.len(), AlertRule::ALL.len()));
        let bob = NotificationPreferences::unsaid(&settings, "bob@example.com");
        assert_eq!((bob.email.len(), bob.browser.len()), (0, AlertRule::ALL.len()));
    }
}
