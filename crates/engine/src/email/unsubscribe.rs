//! Unsubscribing without signing in: a link that says who does not want what, which only we can have written.
//!
//! Reading the link changes nothing (mail scanners read links); a post does (RFC 8058). Nothing is stored for a link, so it
//! works for as long as the master key does.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{OrganizationId, api::ApiError};
use uuid::Uuid;

use crate::{Engine, Inner, Result, error::refused};

const PLACE: (&str, &str) = ("email_preferences", "link");

/// What a link is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Whose e-mails.
    organization: OrganizationId,
    /// The recipient.
    pub email: String,
    /// What the e-mail was about.
    pub category: String,
    /// Whether the recipient wants no more of it.
    pub is_ended: bool,
    /// Whether the recipient wants nothing that can be unsubscribed from.
    pub is_ended_for_all: bool,
}

impl Inner {
    /// The link for one recipient and category.
    pub(super) fn unsubscribe_url(&self, organization: OrganizationId, email: &str, category: &str) -> String {
        let plain = format!("{organization} {category} {email}");
        let sealed = self.keyring.seal(&*self.entropy, PLACE.0, PLACE.1, Uuid::nil(), &plain);
        format!("{}/unsubscribe/{}", self.config.public_url, BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }
}

impl Engine {
    /// What a link is about.
    pub async fn subscription(&self, token: &str) -> Result<Subscription> {
        let not_found = || ApiError::not_found("Link");
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| not_found())?;
        let opened = self.inner.keyring.open(PLACE.0, PLACE.1, Uuid::nil(), &sealed).map_err(|_| not_found())?;
        let mut parts = opened.expose().splitn(3, ' ');
        let (Some(organization), Some(category), Some(email)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(not_found());
        };
        let organization: OrganizationId = organization.parse().map_err(|_| not_found())?;
        let ended = self.inner.store.unsubscribed(organization, email).await.map_err(refused)?;
        Ok(Subscription {
            organization,
            email: email.to_owned(),
            category: category.to_owned(),
            is_ended: ended.iter().any(|ended| ended == category),
            is_ended_for_all: ended.iter().any(|ended| ended == "*"),
        })
    }

    /// Ends what a link is about, or with `all` every category. To do it again changes nothing.
    pub async fn unsubscribe(&self, token: &str, all: bool) -> Result<Subscription> {
        let subscription = self.subscription(token).await?;
        let category = (!all).then(|| subscription.category.clone());
        let stored =
            self.inner.store.unsubscribe(subscription.organization, subscription.email.clone(), category, self.now());
        stored.await.map_err(refused)?;
        self.subscription(token).await
    }

    /// Begins again what a link is about, and whatever else was ended.
    pub async fn subscribe_again(&self, token: &str) -> Result<Subscription> {
        let subscription = self.subscription(token).await?;
        let stored = self.inner.store.subscribe(subscription.organization, subscription.email, None);
        stored.await.map_err(refused)?;
        self.subscription(token).await
    }
}
