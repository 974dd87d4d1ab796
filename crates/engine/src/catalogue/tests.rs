//! Every file of the catalogue says what it must, and nothing that does not exist.

use std::collections::{BTreeSet, HashSet};

use domain::catalogue::{
    Action, ConnectionKind, Fault, Field, FieldKind, Handover, IntegrationType, Probe, Provider, validate_config,
};
use serde_json::{Value, json};

use super::*;

fn catalogue() -> Catalogue {
    Catalogue::built_in().expect("the catalogue is sound")
}

/// The texts of a provider in which `{name}` stands for a field's value.
fn templates(provider: &Provider) -> Vec<&str> {
    let mut texts: Vec<&str> = Vec::new();
    match &provider.probe {
        Probe::Http { url, headers, basic, body, form, .. } => {
            texts.push(url);
            texts.extend(headers.values().chain(form.values()).chain(body).map(String::as_str));
            texts.extend(basic.iter().flat_map(|(user, password)| [user.as_str(), password.as_str()]));
        }
        Probe::Challenge { url } => texts.push(url),
        Probe::Smtp | Probe::S3 | Probe::Folder | Probe::Oauth => {}
    }
    match &provider.handover {
        Some(Handover::Smtp { to }) => texts.push(to),
        Some(Handover::Http { url, basic, headers, form }) => {
            texts.push(url);
            texts.extend(headers.values().chain(form.values()).map(String::as_str));
            texts.extend(basic.iter().flat_map(|(user, password)| [user.as_str(), password.as_str()]));
        }
        Some(Handover::S3 | Handover::Folder) | None => {}
    }
    for trouble in &provider.troubles {
        texts.push(&trouble.meaning);
        texts.extend(trouble.steps.iter().map(|step| step.text.as_str()));
    }
    texts
}

/// The fields that a probe reads by name.
fn needed(provider: &Provider) -> &'static [&'static str] {
    match provider.probe {
        Probe::Smtp => &["smtp_host", "smtp_port", "smtp_username", "smtp_password", "from_email", "from_name"],
        Probe::S3 => &["endpoint", "region", "bucket", "access_key_id", "secret_access_key"],
        Probe::Oauth => &["client_id", "client_secret", "scopes"],
        Probe::Folder => &["folder"],
        Probe::Http { .. } | Probe::Challenge { .. } => &[],
    }
}

/// What may be left of a text when all `{name}` of known fields are taken out.
fn has_braces(text: &str) -> bool {
    text.contains(['{', '}'])
}

#[test]
fn every_file_is_read_and_in_its_place() {
    let catalogue = catalogue();
    let files = Files::iter().filter(|path| !path.contains('/') && **path != *GENERAL).count();
    assert_eq!(catalogue.providers().count(), files);
    let ids: HashSet<_> = catalogue.providers().map(|provider| &provider.id).collect();
    assert_eq!(ids.len(), files);
    let ranks: Vec<_> = catalogue
        .providers()
        .map(|provider| {
            (IntegrationType::ALL.iter().position(|kind| *kind == provider.kind), provider.name.to_lowercase())
        })
        .collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
    for id in ids {
        assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{id}");
        assert_eq!(catalogue.provider(id).map(|provider| &provider.id), Some(id));
    }
    assert!(catalogue.provider("nobody").is_none());
}

#[test]
fn every_template_names_what_exists() {
    for provider in catalogue().providers() {
        for text in templates(provider) {
            let mut left = text.to_owned();
            // What a text message brings is no field's name.
            let brought = if provider.handover.is_some() { &["to", "digits", "text"][..] } else { &[] };
            assert!(brought.iter().all(|name| provider.field(name).is_none()), "{}", provider.id);
            for name in provider.fields.iter().map(|field| field.name.as_str()).chain(brought.iter().copied()) {
                left = left.replace(&format!("{{{name}}}"), "");
            }
            // A body in JSON has braces of its own.
            let is_json = left.starts_with('{') && serde_json::from_str::<Value>(&left).is_ok();
            assert!(is_json || !has_braces(&left), "{}: {text}", provider.id);
        }
        for name in needed(provider) {
            assert!(provider.field(name).is_some(), "{} has no {name}", provider.id);
        }
        if let Some(events) = &provider.events {
            assert!(provider.field(&events.key_field).is_some_and(Field::is_secret), "{}", provider.id);
            let field = provider.field(&events.events_field);
            assert!(field.is_some_and(|field| field.kind == FieldKind::Choices), "{}", provider.id);
        }
        for text in provider.runbook.iter().chain(provider.fields.iter().map(|field| &field.help)) {
            assert!(!has_braces(text), "{}: {text}", provider.id);
        }
    }
}

#[test]
fn every_form_can_be_filled_in() {
    for provider in catalogue().providers() {
        let at = &provider.id;
        assert!(!provider.fields.is_empty(), "{at}");
        let names: BTreeSet<_> = provider.fields.iter().map(|field| &field.name).collect();
        assert_eq!(names.len(), provider.fields.len(), "{at} names a field twice");
        for field in &provider.fields {
            let at = format!("{at}.{}", field.name);
            assert!(!field.label.is_empty() && !field.section.is_empty(), "{at}");
            assert!(field.optional || !field.words.empty.is_empty(), "{at} says nothing when it is empty");
            assert_eq!(matches!(field.kind, FieldKind::Choice | FieldKind::Choices), !field.options.is_empty(), "{at}");
            if let Some(default) = &field.default {
                assert!(!field.is_secret(), "{at}");
                assert_eq!(field.problem(Some(default)), None, "{at}: {default}");
            }
            let is_text =
                !matches!(field.kind, FieldKind::Number | FieldKind::Choice | FieldKind::Choices | FieldKind::Switch);
            assert!(!is_text || field.max_length.is_some(), "{at} has no limit");
            assert!(field.min <= field.max, "{at}");
        }
        let is_called = matches!(provider.probe, Probe::Http { .. });
        if is_called && provider.connection == ConnectionKind::ApiKey {
            let base = provider.field("base_url").unwrap_or_else(|| panic!("{at} cannot be pointed elsewhere"));
            assert_eq!(base.kind, FieldKind::Url, "{at}");
        }
    }
}

#[test]
fn every_fault_has_an_explanation() {
    for provider in catalogue().providers() {
        for fault in Fault::ALL {
            let trouble = provider.trouble(fault, None, "").unwrap_or_else(|| panic!("{}: {fault}", provider.id));
            assert!(!trouble.meaning.is_empty() && !trouble.steps.is_empty(), "{}: {fault}", provider.id);
            for step in &trouble.steps {
                assert!(!step.label.is_empty() && !step.text.is_empty(), "{}: {fault}", provider.id);
                assert!(step.action != Some(Action::StatusPage) || provider.status_page.is_some());
                assert!(step.action != Some(Action::Docs) || provider.docs.is_some(), "{}", provider.id);
            }
        }
        assert!(!provider.fallback.is_empty() && !provider.impact.is_empty() && provider.runbook.len() > 5);
        for link in
            [&provider.status_page, &provider.docs, &provider.keys_page, &provider.support].into_iter().flatten()
        {
            assert!(link.starts_with("https://"), "{}: {link}", provider.id);
        }
    }
}

#[test]
fn no_explanation_hides_behind_another_of_its_file() {
    let mut provider = Provider::clone(catalogue().provider("smtp").expect("any will do"));
    for path in Files::iter() {
        let text = String::from_utf8(Files::get(&path).expect("it is listed").data.into_owned()).unwrap();
        let mut table: Table = text.parse().unwrap();
        let Some(troubles) = table.remove("troubles") else { continue };
        provider.troubles = troubles.try_into().unwrap();
        for trouble in &provider.troubles {
            let seen = |fault: &Fault| {
                let detail = trouble.contains.as_deref().unwrap_or_default();
                provider.trouble(*fault, trouble.code, detail) == Some(trouble)
            };
            assert!(trouble.faults.iter().any(seen), "{path}: {}", trouble.meaning);
        }
    }
}

#[test]
fn the_form_of_smtp_says_what_the_specification_says() {
    let catalogue = catalogue();
    let sendgrid = catalogue.provider("sendgrid").expect("SendGrid is known");
    let problems = validate_config(sendgrid, &BTreeMap::new(), |_| false).expect_err("nothing is entered");
    let said = format!("{problems:?}");
    for words in [
        "SMTP host is required",
        "Please select a port",
        "Username/API key is required",
        "Password/API secret is required",
        "From email address is required",
        "From name is required",
        "Hourly rate limit is required",
    ] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    let problem = |name: &str, value: Value| sendgrid.field(name).unwrap().problem(Some(&value)).unwrap_or_default();
    assert_eq!(problem("smtp_host", json!("smtp sendgrid")), "Please enter a valid hostname or IP address");
    assert_eq!(problem("from_email", json!("nobody")), "Please enter a valid email address");
    assert_eq!(problem("from_name", json!("In<Time>")), "From name contains invalid characters");
    assert_eq!(problem("rate_limit_hour", json!(99)), "Minimum hourly limit is 100");
    assert_eq!(problem("rate_limit_hour", json!(10_001)), "Maximum hourly limit is 10,000");
    let config = sendgrid.with_defaults(BTreeMap::new());
    assert_eq!(config["smtp_host"], "smtp.sendgrid.net");
    assert_eq!(config["smtp_port"], 587);
    assert_eq!(config["rate_limit_hour"], 1_000);
    assert_eq!(config["rate_limit_day"], 25_000);
    let timeout = sendgrid.trouble(Fault::Timeout, None, "").unwrap();
    let steps: Vec<_> = timeout.steps.iter().map(|step| step.label.as_str()).collect();
    assert_eq!(
        steps,
        [
            "Check SendGrid Status Page",
            "Verify API Key",
            "Test Network",
            "Check Firewall",
            "View Error Logs",
            "Switch to Backup"
        ]
    );
    let values = BTreeMap::from([("smtp_host".to_owned(), "smtp.sendgrid.net".to_owned())]);
    let timeout = timeout.filled(&values);
    assert_eq!(timeout.steps[2].text, "Can server reach smtp.sendgrid.net?");
    assert_eq!(timeout.steps[3].text, "Is port smtp_port blocked?");
}

#[test]
fn what_does_not_fit_is_named_with_its_file() {
    let refused = |path: &str, text: &str| {
        let files = [(path.to_owned(), text.to_owned())];
        Catalogue::read(files.into_iter()).err().expect("it is refused").to_string()
    };
    let syntax = refused("broken.toml", "type = \"email\"\nname =");
    assert!(syntax.starts_with("catalogue/broken.toml: ") && syntax.contains("line 2"), "{syntax}");
    let empty = refused("empty.toml", "");
    assert!(empty.contains("missing field `type`"), "{empty}");
    let unknown = refused("x.toml", "type = \"email\"\nsurprise = 1");
    assert!(unknown.contains("surprise"), "{unknown}");
    let kind = refused("x.toml", "type = \"letters\"");
    assert!(kind.contains("catalogue/x.toml") && kind.contains("letters"), "{kind}");
}

/// What a file says of OAuth names what exists: fields in its addresses, scopes of its form in its features.
#[test]
fn who_is_connected_by_oauth_says_how() {
    let catalogue = catalogue();
    for provider in catalogue.providers() {
        let at = &provider.id;
        let oauth = catalogue.oauth(at);
        assert_eq!(oauth.is_some(), provider.connection == ConnectionKind::Oauth, "{at}");
        let Some(oauth) = oauth else { continue };
        let addresses = [&oauth.revoke_url, &oauth.introspect_url, &oauth.userinfo_url, &oauth.issuer];
        let listing = oauth.calendars.as_ref().map(|listing| &listing.url);
        let all = [&oauth.authorize_url, &oauth.token_url].into_iter().chain(addresses.into_iter().flatten());
        for text in all.chain(listing) {
            let mut left = text.clone();
            for field in &provider.fields {
                left = left.replace(&format!("{{{}}}", field.name), "https://x.example");
            }
            assert!(!has_braces(&left) && url::Url::parse(&left).is_ok(), "{at}: {text}");
        }
        let field = provider.field("scopes").unwrap_or_else(|| panic!("{at} asks for no scopes"));
        for scope in oauth.features.keys() {
            assert!(field.options.iter().any(|choice| choice.value == *scope), "{at} has no scope {scope}");
        }
        // Without the scope that keeps people signed in nothing is renewed: where there is one, it is asked for.
        for scope in ["offline_access", "refresh_token"] {
            let is_there = field.options.iter().any(|choice| choice.value == scope);
            let defaults = field.default.as_ref().map(ToString::to_string).unwrap_or_default();
            assert!(!is_there || defaults.contains(scope), "{at}: {scope}");
        }
    }
}

/// Whoever is in a channel whose work leaves open how it is handed over says how.
#[test]
fn work_can_be_handed_to_whoever_stands_in() {
    for provider in catalogue().providers() {
        let is_open = matches!(provider.channel.as_deref(), Some("sms" | "storage"));
        assert_eq!(provider.handover.is_some(), is_open, "{}", provider.id);
    }
}
