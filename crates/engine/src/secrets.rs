//! What must not be read by others: encryption at rest, passwords, tokens.
//!
//! Stored secrets are sealed with XChaCha20-Poly1305. The place where one is stored (table, column, row) is authenticated
//! with it, so that a sealed value moved elsewhere does not open. Tokens and keys that only have to be recognised are
//! stored as SHA-256.

use std::fmt;

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use storage::Store;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{Entropy, StartError, signature::SECRET_PREFIX};

/// Bytes of a webhook's secret: 32 characters of base64.
const WEBHOOK_SECRET_BYTES: usize = 24;
/// Bytes that name a key.
const KEY_ID_BYTES: usize = 4;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 24;
/// Where the store keeps what was sealed with each of its keys, and what that says.
const CHECKS: &str = "key_check";
const CHECK: &str = "signalbox";

/// A text that is not printed, and leaves memory with its owner.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes it in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Gives it out. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The operator's key, from which everything sealed depends. While it is changed there are several: the first seals, all open.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey(Vec<[u8; 32]>);

impl MasterKey {
    /// Reads base64 of 32 bytes; several with white space or commas between them.
    pub fn parse(text: &str) -> Option<Self> {
        let texts = text.split(|c: char| c.is_whitespace() || c == ',').filter(|text| !text.is_empty());
        let keys: Option<Vec<[u8; 32]>> =
            texts.map(|text| BASE64_STANDARD.decode(text).ok()?.try_into().ok()).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }

    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        Self(vec![key])
    }

    /// As [`Self::parse`] reads it.
    pub fn to_text(&self) -> Secret {
        let texts: Vec<_> = self.0.iter().map(|key| BASE64_STANDARD.encode(key)).collect();
        Secret(texts.join("\n"))
    }
}

/// What names a key in what it has sealed.
fn key_id(key: &[u8; 32]) -> [u8; KEY_ID_BYTES] {
    let digest = Sha256::digest(key);
    [digest[0], digest[1], digest[2], digest[3]]
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// A sealed value that does not open: another key, another place, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret cannot be opened")]
pub struct Sealed;

/// Seals with one key, and opens with any that it has.
pub struct Keyring {
    /// The first one seals. Never empty.
    keys: Vec<([u8; KEY_ID_BYTES], XChaCha20Poly1305)>,
}

impl Keyring {
    /// The keys of an operator.
    pub fn new(key: &MasterKey) -> Self {
        Self { keys: key.0.iter().map(|key| (key_id(key), XChaCha20Poly1305::new(key.into()))).collect() }
    }

    /// The key that seals, as people may know it: hexadecimal.
    pub(crate) fn name(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.keys[0].0))
    }

    /// Whether there are keys that only open.
    pub(crate) fn has_old_keys(&self) -> bool {
        self.keys.len() > 1
    }

    /// Whether `sealed` was sealed with the key that seals now.
    pub(crate) fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.starts_with(&self.keys[0].0)
    }

    /// A keyring for this store: refuses if a key is missing that its secrets may be sealed with. The store keeps a text sealed
    /// with each such key; that of a key that is new here is added before anything else is sealed with it.
    pub(crate) async fn open_store(store: &Store, key: &MasterKey, entropy: &dyn Entropy) -> Result<Self, StartError> {
        let keyring = Self::new(key);
        let stored = store.meta_or_insert(CHECKS, keyring.check(entropy)).await?;
        let opens = |text: &str| {
            let sealed = BASE64_STANDARD.decode(text).map_err(|_| Sealed);
            let opened = sealed.and_then(|sealed| Ok((keyring.open("meta", CHECKS, Uuid::nil(), &sealed)?, sealed)));
            opened.ok().filter(|(check, _)| check.expose() == CHECK).map(|(_, sealed)| sealed)
        };
        let opened: Option<Vec<_>> = stored.split_whitespace().map(opens).collect();
        let Some(opened) = opened else {
            return Err(StartError::Key(
                "The master key is not the one that this database's secrets were encrypted with. Give the right one in \
                 SIGNALBOX_MASTER_KEY, or restore the file master.key in the data folder. While keys are changed, both are \
                 needed."
                    .to_owned(),
            ));
        };
        if !opened.iter().any(|sealed| keyring.is_current(sealed)) {
            let both = format!("{stored} {}", keyring.check(entropy));
            store.set_meta(CHECKS, stored, both).await?;
        }
        Ok(keyring)
    }

    /// Notes that nothing is sealed any more with keys that only open.
    pub(crate) async fn forget_old_keys(&self, store: &Store, entropy: &dyn Entropy) -> storage::Result<()> {
        let fresh = self.check(entropy);
        let stored = store.meta_or_insert(CHECKS, fresh.clone()).await?;
        store.set_meta(CHECKS, stored, fresh).await
    }

    fn check(&self, entropy: &dyn Entropy) -> String {
        BASE64_STANDARD.encode(self.seal(entropy, "meta", CHECKS, Uuid::nil(), CHECK))
    }

    /// Seals `plain` for one place: key id, nonce, box.
    pub fn seal(&self, entropy: &dyn Entropy, table: &str, column: &str, row: Uuid, plain: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let aad = place(table, column, row);
        let (id, cipher) = &self.keys[0];
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain.as_bytes(), aad: aad.as_bytes() })
            .expect("XChaCha20-Poly1305 refuses only messages beyond 256 GB");
        [&id[..], &nonce[..], &sealed[..]].concat()
    }

    /// Opens what [`Self::seal`] made for the same place.
    pub fn open(&self, table: &str, column: &str, row: Uuid, sealed: &[u8]) -> Result<Secret, Sealed> {
        let (id, rest) = sealed.split_at_checked(KEY_ID_BYTES).ok_or(Sealed)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or(Sealed)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Sealed)?;
        let (_, cipher) = self.keys.iter().find(|(own, _)| own == id).ok_or(Sealed)?;
        let aad = place(table, column, row);
        let plain = cipher.decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: aad.as_bytes() });
        String::from_utf8(plain.map_err(|_| Sealed)?).map(Secret).map_err(|_| Sealed)
    }
}

fn place(table: &str, column: &str, row: Uuid) -> String {
    format!("{table}|{column}|{row}")
}

/// A new signing secret: `whsec_` and 32 characters.
pub(crate) fn webhook_secret(entropy: &dyn Entropy) -> Secret {
    let mut bytes = [0; WEBHOOK_SECRET_BYTES];
    entropy.fill(&mut bytes);
    Secret(format!("{SECRET_PREFIX}{}", BASE64_STANDARD.encode(bytes)))
}

/// An unguessable text of 43 characters that is safe in URLs and cookies.
pub(crate) fn token(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What is stored of a token. Tokens have the entropy of their 32 random bytes, so that a plain hash is enough.
pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Hashes a password with Argon2id, on a thread where that may take its time.
pub(crate) async fn hash_password(password: Secret, salt: [u8; 16]) -> Option<String> {
    let hash = move || {
        Argon2::default().hash_password_with_salt(password.expose().as_bytes(), &salt).ok().map(|hash| hash.to_string())
    };
    tokio::task::spawn_blocking(hash).await.ok().flatten()
}

/// Whether the password is the one that was hashed.
pub(crate) async fn is_password(password: Secret, hash: String) -> bool {
    let verify = move || {
        PasswordHash::new(&hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
    };
    tokio::task::spawn_blocking(verify).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let entropy = SeededEntropy::new(1);
        let key = MasterKey::generate(&entropy);
        let keyring = Keyring::new(&key);
        let row = Uuid::from_u128(7);
        let sealed = keyring.seal(&entropy, "webhook_secrets", "secret", row, "whsec_x");
        assert_eq!(keyring.open("webhook_secrets", "secret", row, &sealed).unwrap().expose(), "whsec_x");
        assert!(keyring.open("webhooks", "secret", row, &sealed).is_err());
        assert!(keyring.open("webhook_secrets", "headers", row, &sealed).is_err());
        assert!(keyring.open("webhook_secrets", "secret", Uuid::from_u128(8), &sealed).is_err());
        assert!(Keyring::new(&MasterKey::generate(&entropy)).open("webhook_secrets", "secret", row, &sealed).is_err());
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert!(keyring.open("webhook_secrets", "secret", row, &damaged).is_err());
            assert!(keyring.open("webhook_secrets", "secret", row, &sealed[..index]).is_err());
        }
        assert_eq!(MasterKey::parse(key.to_text().expose()).unwrap().0, key.0);
    }

    #[test]
    fn the_first_of_several_keys_seals_and_all_open() {
        let entropy = SeededEntropy::new(4);
        let (old, new) = (MasterKey::generate(&entropy), MasterKey::generate(&entropy));
        let both = MasterKey::parse(&format!("{}, {}", new.to_text().expose(), old.to_text().expose())).unwrap();
        let (ring, row) = (Keyring::new(&both), Uuid::from_u128(7));
        let before = Keyring::new(&old).seal(&entropy, "t", "c", row, "x");
        let after = ring.seal(&entropy, "t", "c", row, "x");
        assert!(!ring.is_current(&before) && ring.is_current(&after) && ring.has_old_keys());
        for sealed in [&before, &after] {
            assert_eq!(ring.open("t", "c", row, sealed).unwrap().expose(), "x");
        }
        assert!(Keyring::new(&old).open("t", "c", row, &after).is_err());
        assert!(Keyring::new(&new).open("t", "c", row, &after).is_ok());
        assert!(MasterKey::parse("").is_none() && MasterKey::parse("AAAA,").is_none());
    }

    #[test]
    fn secrets_have_the_length_of_the_specification_and_are_not_printed() {
        let secret = webhook_secret(&SeededEntropy::new(2));
        assert_eq!(secret.expose().len(), SECRET_PREFIX.len() + 32);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(token(&SeededEntropy::new(3)).len(), 43);
    }

    #[tokio::test]
    async fn passwords_are_verified() {
        let hash = hash_password(Secret::new("correct horse"), [1; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(is_password(Secret::new("correct horse"), hash.clone()).await);
        assert!(!is_password(Secret::new("wrong horse"), hash).await);
        assert!(!is_password(Secret::new("correct horse"), "nonsense".into()).await);
    }
}
