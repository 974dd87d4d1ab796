//! Alerts: what somebody should look at. One is open at most for each rule and subject, however often it is noticed.

use serde::{Deserialize, Serialize};

use crate::{NotificationPreferences, Problems, catalogue::is_email, words::words};

words! {
    /// What is noticed.
    pub enum AlertRule {
        /// An integration is down.
        IntegrationDown = "integration_down",
        /// An integration answers slowly.
        IntegrationSlow = "integration_slow",
        /// More of an integration's real work fails than usual.
        ErrorRate = "error_rate",
        /// Deliveries were given up and wait for a person.
        DeadLetters = "dead_letters",
        /// A webhook was disabled because its endpoint failed.
        WebhookDisabled = "webhook_disabled",
        /// A secret of an integration is older than 90 days.
        SecretAge = "secret_age",
        /// A connection needs its account's owner to sign in again.
        Reauthenticate = "reauthenticate",
        /// A connection's consent ends soon.
        ConsentEnds = "consent_ends",
        /// Work goes through a backup.
        FailedOver = "failed_over",
        /// Work moves between primary and backup too often.
        FailoverFlapping = "failover_flapping",
        /// Neither primary nor backup works.
        AllDown = "all_down",
        /// This server reaches nobody.
        OwnConnection = "own_connection",
    }

    /// How much it matters.
    pub enum Severity {
        /// Something does not work.
        Critical = "critical",
        /// Something will not work.
        Warning = "warning",
        /// Good to know.
        Info = "info",
    }

    /// What became of an alert.
    pub enum AlertState {
        /// Nobody said anything yet.
        Open = "open",
        /// Somebody works on it: no more reminders.
        Acknowledged = "acknowledged",
        /// Quiet for a while.
        Snoozed = "snoozed",
        /// It is over.
        Resolved = "resolved",
    }

    /// What is told of an alert.
    pub enum Transition {
        /// It began.
        Opened = "opened",
        /// It goes on.
        Reminded = "reminded",
        /// It is over.
        Resolved = "resolved",
    }

    /// How people are told.
    pub enum Channel {
        /// By e-mail.
        Email = "email",
        /// In Slack.
        Slack = "slack",
    }
}

impl AlertRule {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::IntegrationDown => "Integration down",
            Self::IntegrationSlow => "Slow responses",
            Self::ErrorRate => "Error rate above normal",
            Self::DeadLetters => "Dead letters waiting",
            Self::WebhookDisabled => "Webhook disabled",
            Self::SecretAge => "Key older than 90 days",
            Self::Reauthenticate => "Reconnection needed",
            Self::ConsentEnds => "Consent ends soon",
            Self::FailedOver => "Running on backup",
            Self::FailoverFlapping => "Failover moves too often",
            Self::AllDown => "Primary and backup down",
            Self::OwnConnection => "This server has no connection",
        }
    }

    /// How much it matters.
    pub const fn severity(self) -> Severity {
        match self {
            Self::IntegrationDown | Self::Reauthenticate | Self::AllDown | Self::OwnConnection => Severity::Critical,
            Self::IntegrationSlow
            | Self::ErrorRate
            | Self::DeadLetters
            | Self::WebhookDisabled
            | Self::FailedOver
            | Self::FailoverFlapping => Severity::Warning,
            Self::SecretAge | Self::ConsentEnds => Severity::Info,
        }
    }
}

/// Who is told of alerts, and of which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertSettings {
    /// Addresses that get an e-mail, at most 20. It is sent through an e-mail integration that works.
    pub emails: Vec<String>,
    /// Whether chat integrations (Slack) are posted to.
    pub slack: bool,
    /// Minutes between reminders of an alert that nobody acknowledged, 5–10,080; 0: none.
    pub reminder_minutes: u32,
    /// Rules that are noticed and shown, but not sent.
    pub muted: Vec<AlertRule>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self { emails: Vec::new(), slack: true, reminder_minutes: 60, muted: Vec::new() }
    }
}

impl AlertSettings {
    /// Checks every limit.
    pub fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.emails.len() > 20 {
            problems.add("emails", "At most 20 addresses can be told");
        } else if self.emails.iter().any(|email| !is_email(email)) {
            problems.add("emails", "Please enter a valid email address");
        }
        if self.reminder_minutes != 0 && !(5..=10_080).contains(&self.reminder_minutes) {
            problems.add("reminder_minutes", "Reminders must be between 5 and 10080 minutes apart, or 0 for none");
        }
        problems.or(())
    }

    /// Through which channels, and to whom, something is told. A channel's own targets are found when it is sent.
    /// `members` are addresses, in small letters, of members who said what they want: for these, that decides.
    pub fn targets(&self, rule: AlertRule, members: &[(String, NotificationPreferences)]) -> Vec<(Channel, String)> {
        if self.muted.contains(&rule) {
            return Vec::new();
        }
        let is_of_member = |email: &str| members.iter().any(|(own, _)| *own == email.to_lowercase());
        let shared = self.emails.iter().filter(|email| !is_of_member(email));
        let personal = members.iter().filter(|(_, wants)| wants.email.contains(&rule)).map(|(email, _)| email);
        let mut targets: Vec<_> = shared.chain(personal).map(|email| (Channel::Email, email.clone())).collect();
        if self.slack {
            targets.push((Channel::Slack, String::new()));
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_wants_decides_for_their_address() {
        let settings = AlertSettings {
            emails: vec!["ops@example.com".into(), "Ada@Example.com".into()],
            muted: vec![AlertRule::SecretAge],
            slack: false,
            ..AlertSettings::default()
        };
        let wants = |rules: &[AlertRule]| NotificationPreferences { email: rules.to_vec(), browser: Vec::new() };
        let told = |rule, members: &[(String, NotificationPreferences)]| {
            settings.targets(rule, members).into_iter().map(|(_, email)| email).collect::<Vec<_>>()
        };
        let (down, slow) = (AlertRule::IntegrationDown, AlertRule::IntegrationSlow);
        assert_eq!(told(down, &[]), ["ops@example.com", "Ada@Example.com"], "nobody said anything");
        let ada = [("ada@example.com".to_owned(), wants(&[down, AlertRule::SecretAge]))];
        assert_eq!(told(down, &ada), ["ops@example.com", "ada@example.com"], "once");
        assert_eq!(told(slow, &ada), ["ops@example.com"]);
        assert!(told(AlertRule::SecretAge, &ada).is_empty(), "muted for everybody");
        let bob = [("bob@example.com".to_owned(), wants(&[slow]))];
        assert_eq!(told(slow, &bob), ["ops@example.com", "Ada@Example.com", "bob@example.com"]);
    }
}
