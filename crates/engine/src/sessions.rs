//! Sessions: signing in and out. A session's token is shown to the browser once and stored as a hash.
//!
//! Signing in costs the same whether the address is known or not, and ten wrong passwords for an address close it for a
//! quarter of an hour, on each node.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::{
    OrganizationId, Timestamp,
    api::{ApiError, ErrorCode, Member},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    Actor, Engine, Result, Who,
    error::refused,
    members::{MAX_PASSWORD_BYTES, normal_email},
    secrets::{self, Secret},
};

/// How long a session lives.
const SESSION_MS: i64 = 14 * 86_400_000;
/// Wrong passwords for one address before it is closed.
const MAX_FAILURES: u32 = 10;
/// How long after the first wrong password they are counted together.
const FAILURES_MS: i64 = 15 * 60_000;
/// Addresses whose wrong passwords are counted.
const MAX_COUNTED: usize = 10_000;
/// Passwords hashed at the same time. Each takes 19 MB and a core.
const MAX_HASHING: usize = 4;
/// Characters of a browser's name that are stored.
const MAX_USER_AGENT: usize = 300;
/// What the password of an unknown address is compared with. Nobody knows a password that it is the hash of.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2lnbmFsYm94c2lnbmFsYg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Where a request came from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The peer's address.
    pub ip: Option<IpAddr>,
    /// What the browser calls itself.
    pub user_agent: String,
}

/// A session that has just begun.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The cookie's value.
    pub token: Secret,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Slows down who guesses passwords, and bounds what guessing costs.
pub(crate) struct Doorkeeper {
    failures: Mutex<HashMap<[u8; 32], Failures>>,
    hashing: Semaphore,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    since: Timestamp,
}

impl Default for Doorkeeper {
    fn default() -> Self {
        Self { failures: Mutex::default(), hashing: Semaphore::new(MAX_HASHING) }
    }
}

impl Doorkeeper {
    /// Waits for a place to hash a password in.
    pub(crate) async fn hashing(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.hashing.acquire().await.ok()
    }

    /// Counts an attempt as failed before it is made, so that many at once are counted too. Refused: the milliseconds
    /// until the address opens again.
    fn knock(&self, address: [u8; 32], now: Timestamp) -> std::result::Result<(), i64> {
        let mut failures = self.failures();
        failures.retain(|known, failures| *known == address || now.since_ms(failures.since) < FAILURES_MS);
        if failures.len() >= MAX_COUNTED && !failures.contains_key(&address) {
            // The least suspicious makes room, so that trying many addresses does not open one that is closed.
            let least = failures.iter().min_by_key(|(_, failures)| (failures.count, failures.since));
            if let Some(least) = least.map(|(address, _)| *address) {
                failures.remove(&least);
            }
        }
        let known = failures.entry(address).or_insert(Failures { count: 0, since: now });
        if now.since_ms(known.since) >= FAILURES_MS {
            *known = Failures { count: 0, since: now };
        }
        if known.count >= MAX_FAILURES {
            return Err(FAILURES_MS - now.since_ms(known.since));
        }
        known.count += 1;
        Ok(())
    }

    fn forgive(&self, address: [u8; 32]) {
        self.failures().remove(&address);
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<[u8; 32], Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Begins a session for whoever knows the password.
    pub async fn sign_in(&self, email: &str, password: &str, origin: &Origin) -> Result<NewSession> {
        let Some(row) = self.member_with(email, password).await? else {
            return Err(ApiError::new(ErrorCode::Unauthorized, "Email or password is incorrect"));
        };
        self.begin_session(row.organization_id, row.member, origin).await
    }

    /// Whether it is the password of whoever signs in with `email`. Wrong ones count as failed sign-ins.
    pub(crate) async fn is_password_of(&self, email: &str, password: &str) -> Result<bool> {
        Ok(self.member_with(email, password).await?.is_some())
    }

    async fn member_with(&self, email: &str, password: &str) -> Result<Option<storage::MemberRow>> {
        let email = normal_email(email);
        let address = secrets::token_hash(&email);
        self.inner.doorkeeper.knock(address, self.now()).map_err(|wait_ms| {
            let seconds = u32::try_from((wait_ms + 999) / 1000).unwrap_or(u32::MAX);
            let detail = format!("Too many failed sign-ins. Try again in {}.", domain::human_ms(wait_ms));
            ApiError { retry_after_s: Some(seconds), ..ApiError::new(ErrorCode::RateLimited, detail) }
        })?;
        let found = self.inner.store.member_by_email(&email).await.map_err(refused)?;
        let hash = found.as_ref().map_or(NOBODY, |row| &row.password_hash).to_owned();
        let is_right = password.len() <= MAX_PASSWORD_BYTES && {
            let _place = self.inner.doorkeeper.hashing().await;
            secrets::is_password(Secret::new(password), hash).await
        };
        if is_right {
            self.inner.doorkeeper.forgive(address);
        }
        Ok(found.filter(|_| is_right))
    }

    /// Who has this session; `None` when it is over.
    pub async fn session(&self, token: &str) -> Result<Option<Actor>> {
        let found = self.inner.store.session(secrets::token_hash(token), self.now()).await.map_err(refused)?;
        Ok(found.map(|row| recognised(row.organization_id, row.member)))
    }

    /// Ends a session; nothing happens when it is over already.
    pub async fn sign_out(&self, token: &str) -> Result<()> {
        let Some(actor) = self.session(token).await? else { return Ok(()) };
        let audit = self.audit_entry(&actor, "member.signed_out", &member_id(&actor), &[]);
        let ended = self.inner.store.delete_session(actor.organization, secrets::token_hash(token), audit);
        ended.await.map(drop).map_err(refused)
    }

    pub(crate) async fn begin_session(
        &self,
        organization: OrganizationId,
        member: Member,
        origin: &Origin,
    ) -> Result<NewSession> {
        let token = secrets::token(&*self.inner.entropy);
        let now = self.now();
        let expires_at = now.plus_ms(SESSION_MS);
        let session = storage::NewSession {
            token_hash: secrets::token_hash(&token),
            member_id: member.id,
            user_agent: origin.user_agent.chars().take(MAX_USER_AGENT).collect(),
            address: origin.ip,
            created_at: now,
            expires_at,
        };
        let actor = recognised(organization, member);
        let audit = self.audit_entry(&actor, "member.signed_in", &member_id(&actor), &[]);
        self.inner.store.create_session(organization, session, audit).await.map_err(refused)?;
        Ok(NewSession { token: Secret::new(token), expires_at })
    }
}

pub(crate) fn recognised(organization: OrganizationId, member: Member) -> Actor {
    let Member { id, name, email, role, .. } = member;
    Actor { organization, who: Who::Member { id, name, email, role } }
}

fn member_id(actor: &Actor) -> String {
    match &actor.who {
        Who::Member { id, .. } => id.to_string(),
        Who::Key { .. } | Who::System => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn ten_wrong_passwords_close_an_address_for_a_while() {
        let door = Doorkeeper::default();
        for _ in 0..MAX_FAILURES {
            assert_eq!(door.knock([1; 32], NOW), Ok(()));
        }
        assert_eq!(door.knock([1; 32], NOW.plus_ms(1_000)), Err(FAILURES_MS - 1_000));
        assert_eq!(door.knock([2; 32], NOW), Ok(()), "others are not concerned");
        assert_eq!(door.knock([1; 32], NOW.plus_ms(FAILURES_MS)), Ok(()));
    }

    #[test]
    fn the_right_password_ends_the_count() {
        let door = Doorkeeper::default();
        for _ in 0..100 {
            assert_eq!(door.knock([1; 32], NOW), Ok(()));
            door.forgive([1; 32]);
        }
    }

    #[test]
    fn many_addresses_neither_fill_the_memory_nor_open_a_closed_one() {
        let door = Doorkeeper::default();
        for _ in 0..MAX_FAILURES {
            assert_eq!(door.knock([255; 32], NOW), Ok(()));
        }
        for number in 0..MAX_COUNTED + 50 {
            let mut address = [0; 32];
            address[..8].copy_from_slice(&number.to_le_bytes());
            assert_eq!(door.knock(address, NOW.plus_ms(1)), Ok(()));
        }
        assert_eq!(door.failures().len(), MAX_COUNTED);
        assert!(door.knock([255; 32], NOW.plus_ms(2)).is_err());
    }

    #[test]
    fn an_unknown_address_costs_as_much_as_a_known_one() {
        let hash = argon2::password_hash::phc::PasswordHash::new(NOBODY).expect("a hash like those of members");
        let params = argon2::Params::try_from(&hash).expect("its parameters");
        let ours = argon2::Params::default();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (ours.m_cost(), ours.t_cost(), ours.p_cost()));
    }
}
