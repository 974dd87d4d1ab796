//! An account consents: a browser is sent to the provider and comes back with a code.
//!
//! Whoever comes back must be the browser that was sent (a cookie), and of a member's consent that member; what it brings can
//! be used once, within ten minutes. So nobody can be made to connect somebody else's account, or to give theirs away.

use domain::{
    IntegrationId, Permission, PublicId, Timestamp,
    api::{ApiError, Authorization, AuthorizationRequest, ErrorCode},
    catalogue::{Fault, Trouble},
};
use storage::{ConnectLink, IntegrationRow, Known, NewConnection, StartedAuthorization};
use subtle::ConstantTimeEq;

use super::{
    account,
    application::{Application, scopes},
    exchange::{Exchanged, authorization_url, exchange_code},
};
use crate::{
    Actor, Engine, LiveEvent, Result, Who,
    error::refused,
    secrets::{self, Secret},
};

/// How long a browser is waited for, in milliseconds.
const WAIT_MS: i64 = 10 * 60_000;
/// How long a link can be used, in milliseconds.
const LINK_MS: i64 = 24 * 3_600_000;
/// Most scopes in one request, and most bytes of one.
const MAX_SCOPES: (usize, usize) = (100, 500);

/// A browser that is sent to a provider.
pub struct Sent {
    /// Where to.
    pub authorization: Authorization,
    /// What it is known by when it comes back: the value of a cookie.
    pub browser: Secret,
}

/// What a browser brings back.
#[derive(Debug, Default)]
pub struct Callback {
    /// What it was given.
    pub state: String,
    /// What tokens are given for.
    pub code: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
    /// The same for people.
    pub error_description: Option<String>,
    /// Who says so (RFC 9207).
    pub iss: Option<String>,
}

/// An account that is connected.
#[derive(Debug)]
pub struct Finished {
    /// To which integration.
    pub integration: IntegrationId,
    /// How people call that.
    pub name: String,
    /// What the account is called.
    pub account: Option<String>,
    /// Whether a member started it, who can go on to the integration's page.
    pub is_member: bool,
    /// Permissions that were asked for and not granted.
    pub missing: Vec<String>,
}

/// Why no account was connected.
#[derive(Debug)]
pub struct Unfinished {
    /// In a sentence.
    pub problem: String,
    /// What the provider said.
    pub detail: String,
    /// What helps.
    pub steps: Vec<String>,
    /// The integration's page, for who may see it.
    pub integration: Option<IntegrationId>,
}

impl Unfinished {
    fn new(problem: &str, step: &str) -> Self {
        Self { problem: problem.to_owned(), detail: String::new(), steps: vec![step.to_owned()], integration: None }
    }
}

impl From<ApiError> for Unfinished {
    fn from(error: ApiError) -> Self {
        Self::new(&error.detail, "Try it again in a moment.")
    }
}

/// What the page of a link shows.
#[derive(Debug)]
pub struct ConnectPage {
    /// How people call the integration.
    pub name: String,
    /// The provider, as people know it.
    pub provider: String,
    /// What is asked for, for people.
    pub permissions: Vec<String>,
    /// Who asks.
    pub made_by: String,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Engine {
    /// Sends a member's browser to the provider. `browser` is the cookie that it has of an earlier time: it keeps it, so that
    /// it can be at several at once.
    pub async fn authorize(
        &self,
        actor: &Actor,
        id: IntegrationId,
        request: AuthorizationRequest,
        browser: Option<&str>,
    ) -> Result<Sent> {
        actor.require(Permission::WriteIntegrations)?;
        check(&request)?;
        let (row, _) = self.oauth_integration(actor, id).await?;
        self.send(&row, &request.scopes, actor.label(), Some(actor), browser).await
    }

    /// Makes a link by which somebody without an account here connects theirs, once, within a day.
    pub async fn connect_link(
        &self,
        actor: &Actor,
        id: IntegrationId,
        request: AuthorizationRequest,
    ) -> Result<Authorization> {
        actor.require(Permission::WriteIntegrations)?;
        check(&request)?;
        let (row, _) = self.oauth_integration(actor, id).await?;
        // What cannot be sent is told now, and not to whoever gets the link.
        self.application(&row, &Known::new()).await?;
        let (token, expires_at) = (secrets::token(&*self.inner.entropy), self.now().plus_ms(LINK_MS));
        let link = ConnectLink {
            organization: actor.organization,
            integration: id,
            scopes: request.scopes,
            made_by: actor.label(),
            expires_at,
        };
        let audit = self.audit_entry(actor, "connection.link_created", &id, &["scopes"]);
        let stored = self.inner.store.create_connect_link(secrets::token_hash(&token), link, audit);
        stored.await.map_err(refused)?;
        let authorization_url = format!("{}/connect/{token}", self.inner.config.public_url);
        Ok(Authorization { authorization_url, expires_at })
    }

    /// What the page of a link shows. Looking at it changes nothing: scanners of mail follow every link.
    pub async fn connect_page(&self, token: &str) -> Result<ConnectPage> {
        let link = self.inner.store.connect_link(secrets::token_hash(token), self.now()).await.map_err(refused)?;
        let link = link.ok_or_else(|| ApiError::not_found("Link"))?;
        let row = self.find_integration(link.organization, link.integration).await?;
        let provider = self.provider(&row.integration.provider)?;
        // From the settings alone: whoever only looks makes this server ask nobody.
        let oauth = self.inner.providers.oauth(&provider.id).ok_or_else(|| ApiError::not_found("Link"))?;
        let offered = provider.field("scopes").map(|field| field.options.clone()).unwrap_or_default();
        let label = |scope: String| {
            offered.iter().find(|choice| choice.value == scope).map_or(scope.clone(), |choice| choice.label.clone())
        };
        let settings = scopes(oauth, row.integration.config.get("scopes"));
        let scopes = if link.scopes.is_empty() { settings } else { link.scopes };
        Ok(ConnectPage {
            name: row.integration.name,
            provider: provider.name.clone(),
            permissions: scopes.into_iter().map(label).collect(),
            made_by: link.made_by,
            expires_at: link.expires_at,
        })
    }

    /// Sends the browser of whoever has a link to the provider. The link is used then.
    pub async fn follow_link(&self, token: &str, browser: Option<&str>) -> Result<Sent> {
        let link = self.inner.store.take_connect_link(secrets::token_hash(token), self.now()).await.map_err(refused)?;
        let link = link.ok_or_else(|| ApiError::not_found("Link"))?;
        let row = self.find_integration(link.organization, link.integration).await?;
        self.send(&row, &link.scopes, format!("a link of {}", link.made_by), None, browser).await
    }

    async fn application(&self, row: &IntegrationRow, known: &Known) -> Result<Application> {
        let application = Application::of(&self.inner, row, known).await;
        application
            .map_err(|detail| ApiError::new(ErrorCode::Conflict, format!("{detail}. Complete the settings first.")))
    }

    async fn send(
        &self,
        row: &IntegrationRow,
        scopes: &[String],
        started_by: String,
        actor: Option<&Actor>,
        browser: Option<&str>,
    ) -> Result<Sent> {
        let connection = self.inner.store.connection(row.organization, row.integration.id).await.map_err(refused)?;
        let application = self.application(row, &Known::new()).await?;
        // Only what is missing is asked for anew, beside what the account has granted: an answer replaces that.
        let wanted: Vec<String> = match connection.filter(|_| !scopes.is_empty()) {
            Some(connection) => {
                let missing = application.oauth.missing(&connection.requested, &connection.granted);
                let kept = connection.requested.iter().filter(|scope| !missing.contains(scope));
                kept.chain(&connection.granted).chain(scopes).cloned().collect()
            }
            None => application.scopes.iter().chain(scopes).cloned().collect(),
        };
        let mut unique = Vec::new();
        for scope in wanted {
            if !unique.contains(&scope) {
                unique.push(scope);
            }
        }
        let entropy = &*self.inner.entropy;
        let state = secrets::token(entropy);
        // Only what we may have made: another is not unguessable.
        let browser = browser.filter(|browser| browser.len() == state.len()).map(str::to_owned);
        let browser = Secret::new(browser.unwrap_or_else(|| secrets::token(entropy)));
        let verifier = application.oauth.pkce.then(|| Secret::new(secrets::token(entropy)));
        let expires_at = self.now().plus_ms(WAIT_MS);
        let id = row.integration.id;
        let seal = |verifier: &Secret| {
            self.inner.keyring.seal(entropy, "authorizations", "verifier", id.uuid(), verifier.expose())
        };
        let started = StartedAuthorization {
            state_hash: secrets::token_hash(&state),
            browser_hash: secrets::token_hash(browser.expose()),
            integration: id,
            member: actor.and_then(Actor::member).map(|(id, _)| id),
            started_by,
            provider: row.integration.provider.clone(),
            verifier: verifier.as_ref().map(seal),
            redirect_uri: application.redirect_uri.clone(),
            scopes: unique.clone(),
            issuer: application.issuer.clone(),
            says_issuer: application.says_issuer,
            known: application.known.clone(),
            expires_at,
        };
        self.inner.store.start_authorization(row.organization, started, self.now()).await.map_err(refused)?;
        let url = authorization_url(&application, &unique, &state, verifier.as_ref());
        let authorization = Authorization { authorization_url: url.into(), expires_at };
        Ok(Sent { authorization, browser })
    }

    /// Takes what a browser brings back from `provider`. `browser` is its cookie, `session` whose session it has.
    pub async fn finish_authorization(
        &self,
        provider: &str,
        callback: Callback,
        browser: Option<&str>,
        session: Option<&Actor>,
    ) -> std::result::Result<Finished, Unfinished> {
        const AGAIN: &str = "Start again from the integration's page.";
        let found = self.inner.store.take_authorization(secrets::token_hash(&callback.state)).await;
        let Some((organization, started)) = found.map_err(refused)? else {
            return Err(Unfinished::new("This sign-in was used already, or never began here.", AGAIN));
        };
        let from_same_browser =
            browser.is_some_and(|browser| secrets::token_hash(browser).ct_eq(&started.browser_hash).into());
        if !from_same_browser {
            return Err(Unfinished::new(
                "This sign-in was begun in another browser.",
                "Start again, and finish it in the same browser. Cookies must be allowed for this site.",
            ));
        }
        if started.expires_at <= self.now() {
            return Err(Unfinished::new("This sign-in took longer than 10 minutes.", AGAIN));
        }
        if let Some(member) = started.member {
            let is_same = session.is_some_and(|actor| {
                actor.organization == organization && actor.member().is_some_and(|(id, _)| id == member)
            });
            if !is_same {
                return Err(Unfinished::new(
                    "This sign-in was begun by another member.",
                    "Sign in here as the member who began it, and start again.",
                ));
            }
        }
        let at = |unfinished: Unfinished| Unfinished { integration: Some(started.integration), ..unfinished };
        if started.provider != provider {
            return Err(at(Unfinished::new("Another provider answered than the one that was asked.", AGAIN)));
        }
        let row = self.find_integration(organization, started.integration).await?;
        let is_impostor = match (&started.issuer, &callback.iss) {
            (Some(expected), Some(said)) => expected.trim_end_matches('/') != said.trim_end_matches('/'),
            (Some(_), None) => started.says_issuer,
            (None, _) => false,
        };
        if is_impostor {
            return Err(at(Unfinished::new(
                "The answer is not from the provider that was asked.",
                "Do not go on. Tell an administrator: somebody may be trying to mix up providers.",
            )));
        }
        if let Some(error) = &callback.error {
            let said = callback.error_description.clone().unwrap_or_default();
            return Err(at(self.explained(&row, error, &format!("{error} {said}"))));
        }
        let Some(code) = callback.code.as_deref().filter(|code| !code.is_empty()) else {
            return Err(at(Unfinished::new("The provider sent neither a code nor an error.", AGAIN)));
        };
        self.connected(row, started, code).await
    }

    async fn connected(
        &self,
        row: IntegrationRow,
        started: StartedAuthorization,
        code: &str,
    ) -> std::result::Result<Finished, Unfinished> {
        let inner = &self.inner;
        let id = started.integration;
        let application = self.application(&row, &started.known).await?;
        let verifier =
            match &started.verifier {
                Some(sealed) => {
                    let opened = inner.keyring.open("authorizations", "verifier", id.uuid(), sealed);
                    Some(opened.map_err(|_| {
                        Unfinished::new("What was noted of this sign-in cannot be read.", "Start again.")
                    })?)
                }
                None => None,
            };
        let tokens = match exchange_code(inner, &application, code, verifier).await {
            Exchanged::Answer(tokens) => tokens,
            Exchanged::Refused { error, detail, .. } => {
                return Err(Unfinished { integration: Some(id), ..self.explained(&row, &error, &detail) });
            }
            Exchanged::Unanswered { detail, .. } => {
                let provider = &application.provider;
                return Err(Unfinished {
                    problem: format!("{provider} did not answer when the code was exchanged."),
                    detail,
                    steps: vec!["Try it again in a moment: a code can be used once.".to_owned()],
                    integration: Some(id),
                });
            }
        };
        let now = self.now();
        let account = account::account(inner, &application, &tokens.access()).await;
        let mut stored = tokens.to_store(inner, &application, &row, now, false).await;
        // An answer that names no scopes grants those that were asked for (RFC 6749 §5.1).
        let granted = stored.granted.get_or_insert_with(|| started.scopes.clone()).clone();
        let missing = application.oauth.missing(&started.scopes, &granted).into_iter().cloned().collect();
        let new = NewConnection {
            integration: id,
            client_id: application.client_id.clone(),
            account_id: account.id,
            account_name: account.name.clone(),
            requested: started.scopes.clone(),
            tokens: stored,
            by: started.started_by.clone(),
            at: now,
        };
        let mut audit = self.audit_entry(
            &Actor { organization: row.organization, who: Who::System },
            "connection.connected",
            &id,
            &["access_token", "refresh_token", "granted"],
        );
        audit.actor.clone_from(&started.started_by);
        inner.store.connect(row.organization, new, audit).await.map_err(refused)?;
        let name = account.name.as_deref().unwrap_or("an account");
        let entry = inner.settings_entry(id, format!("Connected as {name} by {}", started.started_by));
        inner.write_log(row.organization, entry).await;
        inner.live.send(row.organization, LiveEvent::Connections);
        inner.check_soon(row.organization, id);
        Ok(Finished {
            integration: id,
            name: row.integration.name,
            account: account.name,
            is_member: started.member.is_some(),
            missing,
        })
    }

    /// What a provider's error means, and what helps.
    fn explained(&self, row: &IntegrationRow, error: &str, detail: &str) -> Unfinished {
        let provider = self.provider(&row.integration.provider).ok();
        let name = provider.map_or("The provider", |provider| provider.name.as_str());
        let own = match error {
            "access_denied" => Some((
                format!("The account's owner did not consent, or {name} did not let them."),
                vec![
                    "Connect again, and allow access when asked.".to_owned(),
                    "If an administrator has to approve the application first, ask them.".to_owned(),
                ],
            )),
            "invalid_scope" => Some((
                format!("{name} does not know one of the permissions, or the application may not ask for it."),
                vec!["Choose only permissions that the application has at the provider.".to_owned()],
            )),
            "temporarily_unavailable" | "server_error" => {
                Some((format!("{name} is currently unavailable"), vec!["Try it again later.".to_owned()]))
            }
            _ => None,
        };
        let known: Option<Trouble> = provider.and_then(|provider| {
            provider
                .trouble(Fault::Authentication, None, detail)
                .map(|trouble| trouble.filled(&std::collections::BTreeMap::new()))
        });
        let (problem, steps) = own.unwrap_or_else(|| match known {
            Some(trouble) => (trouble.meaning, trouble.steps.into_iter().map(|step| step.text).collect()),
            None => (format!("{name} refused."), vec!["Start again from the integration's page.".to_owned()]),
        });
        Unfinished { problem, detail: detail.trim().to_owned(), steps, integration: None }
    }
}

fn check(request: &AuthorizationRequest) -> Result<()> {
    let is_scope =
        |scope: &String| !scope.is_empty() && scope.len() <= MAX_SCOPES.1 && !scope.contains(char::is_control);
    if request.scopes.len() > MAX_SCOPES.0 || !request.scopes.iter().all(is_scope) {
        let message = "At most 100 permissions of at most 500 bytes each can be asked for";
        return Err(domain::Problems::one("scopes", message).into());
    }
    Ok(())
}
