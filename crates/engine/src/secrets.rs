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

/// The operator's key, from which everything sealed depends.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// Reads base64 of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(text.trim()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        Self(key)
    }

    /// As [`Self::parse`] reads it.
    pub fn to_text(&self) -> Secret {
        Secret(BASE64_STANDARD.encode(self.0))
    }

    fn id(&self) -> [u8; KEY_ID_BYTES] {
        let digest = Sha256::digest(self.0);
        [digest[0], digest[1], digest[2], digest[3]]
    }
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

/// Seals and opens what is stored.
pub struct Keyring {
    id: [u8; KEY_ID_BYTES],
    cipher: XChaCha20Poly1305,
}

impl Keyring {
    /// A keyring of one key.
    pub fn new(key: &MasterKey) -> Self {
        Self { id: key.id(), cipher: XChaCha20Poly1305::new(&key.0.into()) }
    }

    /// A keyring for this store: refuses a key that is not the one its secrets were sealed with.
    pub(crate) async fn open_store(store: &Store, key: &MasterKey, entropy: &dyn Entropy) -> Result<Self, StartError> {
        const CHECK: &str = "signalbox";
        let keyring = Self::new(key);
        let fresh = BASE64_STANDARD.encode(keyring.seal(entropy, "meta", "key_check", Uuid::nil(), CHECK));
        let stored = store.meta_or_insert("key_check", fresh).await?;
        let opened = BASE64_STANDARD.decode(stored).map_err(|_| Sealed);
        match opened.and_then(|sealed| keyring.open("meta", "key_check", Uuid::nil(), &sealed)) {
            Ok(check) if check.expose() == CHECK => Ok(keyring),
            _ => Err(StartError::Key(
                "The master key is not the one that this database's secrets were encrypted with. Give the right one in \
                 SIGNALBOX_MASTER_KEY, or restore the file master.key in the data folder."
                    .to_owned(),
            )),
        }
    }

    /// Seals `plain` for one place: key id, nonce, box.
    pub fn seal(&self, entropy: &dyn Entropy, table: &str, column: &str, row: Uuid, plain: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let aad = place(table, column, row);
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain.as_bytes(), aad: aad.as_bytes() })
            .expect("XChaCha20-Poly1305 refuses only messages beyond 256 GB");
        [&self.id[..], &nonce[..], &sealed[..]].concat()
    }

    /// Opens what [`Self::seal`] made for the same place.
    pub fn open(&self, table: &str, column: &str, row: Uuid, sealed: &[u8]) -> Result<Secret, Sealed> {
        let (id, rest) = sealed.split_at_checked(KEY_ID_BYTES).ok_or(Sealed)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or(Sealed)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| Sealed)?;
        if id != self.id {
            return Err(Sealed);
        }
        let aad = place(table, column, row);
        let plain = self.cipher.decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: aad.as_bytes() });
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
