//! A retry policy as a form has it: all text, as it was typed. Turning it into a policy happens in the browser (to check and to
//! preview) and on the server (to store) by the same function; the limits themselves are `RetryPolicy::validate`.

use domain::{Backoff, Jitter, Problems, RetryOn, RetryPolicy};
use serde::{Deserialize, Serialize};

use crate::delay_text;

/// The fields of the form, named as they are posted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryForm {
    /// `exponential`, `linear`, `fixed` or `list`.
    pub strategy: String,
    /// The delays of a list, such as `5s, 5m, 2h`.
    pub delays: String,
    /// "Max Retries".
    pub max_retries: String,
    /// "Initial delay" in seconds; "Delay" of the fixed strategy.
    pub initial_delay_s: String,
    /// "Max delay" in seconds.
    pub max_delay_s: String,
    /// `none`, `twenty_percent` or `full`.
    pub jitter: String,
    /// "Timeout per attempt" in seconds.
    pub timeout_s: String,
    /// The ticked failures, named like the fields of `RetryOn`.
    pub retry_on: Vec<String>,
    /// "Enable Dead Letter Queue".
    pub dead_letters: bool,
    /// "DLQ retention" in days.
    pub dead_letter_retention_days: String,
}

impl RetryForm {
    /// The form of a policy.
    pub fn of(policy: &RetryPolicy) -> Self {
        let (strategy, delays) = match &policy.strategy {
            Backoff::Exponential => ("exponential", String::new()),
            Backoff::Linear => ("linear", String::new()),
            Backoff::Fixed => ("fixed", String::new()),
            Backoff::List(delays) => ("list", delay_text::list_text(delays)),
        };
        let jitter = match policy.jitter {
            Jitter::None => "none",
            Jitter::TwentyPercent => "twenty_percent",
            Jitter::Full => "full",
        };
        let on = policy.retry_on;
        let ticked = [
            ("server_errors", on.server_errors),
            ("timeouts", on.timeouts),
            ("connection_failures", on.connection_failures),
            ("dns_failures", on.dns_failures),
            ("rate_limited", on.rate_limited),
            ("client_errors", on.client_errors),
        ];
        Self {
            strategy: strategy.to_owned(),
            delays,
            max_retries: policy.max_retries.to_string(),
            initial_delay_s: policy.initial_delay_s.to_string(),
            max_delay_s: policy.max_delay_s.to_string(),
            jitter: jitter.to_owned(),
            timeout_s: policy.timeout_s.to_string(),
            retry_on: ticked.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned()).collect(),
            dead_letters: policy.dead_letters,
            dead_letter_retention_days: policy.dead_letter_retention_days.to_string(),
        }
    }

    /// What was typed, as a policy that keeps every limit.
    pub fn policy(&self) -> Result<RetryPolicy, Problems> {
        let mut problems = Problems::default();
        let mut number = |field: &str, text: &str, missing: &str, instead: u32| {
            let text = text.trim();
            text.parse().unwrap_or_else(|_| {
                problems.add(field, if text.is_empty() { missing } else { "Please enter a whole number" });
                instead
            })
        };
        let default = RetryPolicy::default();
        let mut policy = RetryPolicy {
            timeout_s: number("timeout_s", &self.timeout_s, "Timeout is required", default.timeout_s),
            dead_letter_retention_days: number(
                "dead_letter_retention_days",
                &self.dead_letter_retention_days,
                "DLQ retention is required",
                default.dead_letter_retention_days,
            ),
            jitter: match &*self.jitter {
                "none" => Jitter::None,
                "full" => Jitter::Full,
                _ => Jitter::TwentyPercent,
            },
            retry_on: self.retry_on(),
            dead_letters: self.dead_letters,
            ..default.clone()
        };
        if self.strategy == "list" {
            match delay_text::list(&self.delays) {
                Ok(delays) => policy.strategy = Backoff::List(delays),
                Err(message) => problems.add("strategy", message),
            }
        } else {
            let missing_delay = match &*self.strategy {
                "fixed" => "Delay is required for fixed interval strategy",
                _ => "Initial delay is required",
            };
            policy.max_retries =
                number("max_retries", &self.max_retries, "Max retries is required", default.max_retries);
            policy.initial_delay_s =
                number("initial_delay_s", &self.initial_delay_s, missing_delay, default.initial_delay_s);
            // Instead of a number that was not given: one that no other field can contradict.
            policy.max_delay_s = number("max_delay_s", &self.max_delay_s, "Maximum delay is required", 300);
            match &*self.strategy {
                "exponential" => policy.strategy = Backoff::Exponential,
                "linear" => policy.strategy = Backoff::Linear,
                "fixed" => policy.strategy = Backoff::Fixed,
                _ => problems.add("strategy", "Please select a retry strategy"),
            }
        }
        for problem in policy.validate().err().unwrap_or_default().into_vec() {
            problems.add(&problem.field, problem.message);
        }
        problems.or(policy)
    }

    fn retry_on(&self) -> RetryOn {
        let on = |name: &str| self.retry_on.iter().any(|ticked| ticked == name);
        RetryOn {
            server_errors: on("server_errors"),
            timeouts: on("timeouts"),
            connection_failures: on("connection_failures"),
            dns_failures: on("dns_failures"),
            rate_limited: on("rate_limited"),
            client_errors: on("client_errors"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::RetryPreset;

    #[test]
    fn a_policy_and_back() {
        let odd = RetryPolicy {
            strategy: Backoff::Linear,
            jitter: Jitter::Full,
            retry_on: RetryOn { server_errors: false, client_errors: true, ..RetryOn::default() },
            dead_letters: false,
            ..RetryPolicy::default()
        };
        let presets = RetryPreset::ALL.map(|preset| preset.apply(&RetryPolicy::default()));
        for policy in presets.into_iter().chain([RetryPolicy::default(), odd]) {
            assert_eq!(RetryForm::of(&policy).policy(), Ok(policy));
        }
    }

    #[test]
    fn the_words_of_the_specification() {
        let problem = |change: fn(&mut RetryForm)| {
            let mut form = RetryForm::of(&RetryPolicy::default());
            change(&mut form);
            let problems = form.policy().unwrap_err().into_vec();
            assert_eq!(problems.len(), 1, "{problems:?}");
            (problems[0].field.clone(), problems[0].message.clone())
        };
        for (field, message, change) in [
            ("strategy", "Please select a retry strategy", (|form| form.strategy.clear()) as fn(&mut RetryForm)),
            ("max_retries", "Max retries is required", |form| form.max_retries.clear()),
            ("max_retries", "Minimum retry count is 1", |form| form.max_retries = "0".into()),
            ("max_retries", "Maximum retry count is 10", |form| form.max_retries = "11".into()),
            ("max_retries", "Please enter a whole number", |form| form.max_retries = "-1".into()),
            ("initial_delay_s", "Initial delay is required", |form| form.initial_delay_s = " ".into()),
            ("initial_delay_s", "Delay is required for fixed interval strategy", |form| {
                form.strategy = "fixed".into();
                form.initial_delay_s.clear();
            }),
            ("initial_delay_s", "Minimum delay is 1 second", |form| form.initial_delay_s = "0".into()),
            ("max_delay_s", "Maximum delay is required", |form| form.max_delay_s.clear()),
            ("max_delay_s", "Minimum max delay is 10 seconds", |form| form.max_delay_s = "9".into()),
            ("max_delay_s", "Maximum delay cannot exceed 300 seconds", |form| form.max_delay_s = "301".into()),
            ("strategy", "Give between 1 and 20 delays", |form| form.strategy = "list".into()),
            ("timeout_s", "Timeout must be between 1 and 60 seconds", |form| form.timeout_s = "61".into()),
        ] {
            assert_eq!(problem(change), (field.to_owned(), message.to_owned()));
        }
    }

    #[test]
    fn a_list_needs_no_numbers() {
        let form = RetryForm {
            strategy: "list".into(),
            delays: "5s 1m".into(),
            max_retries: String::new(),
            initial_delay_s: String::new(),
            max_delay_s: "x".into(),
            ..RetryForm::of(&RetryPolicy::default())
        };
        assert_eq!(form.policy().unwrap().strategy, Backoff::List(vec![5, 60]));
    }
}
