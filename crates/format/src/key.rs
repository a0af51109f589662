//! Client-side encryption: data keys and the keys that wrap them.
//!
//! Every chain of backups has a random 256-bit *data key*, which encrypts its pieces
//! (see [`crate::piece`]). The data key is stored only *wrapped*: encrypted by a *wrapping key*
//! that comes from a person's key file or passphrase. The envelope ([`EncryptionInfo`]) holds one
//! slot per wrapping key, so that a wrapping key can be rotated by rewriting this one small object;
//! packs stay as they are.
//!
//! XChaCha20-Poly1305 everywhere: its 192-bit nonces can be drawn at random without ever counting
//! how many were used. Passphrases are stretched by Argon2id with the parameters stored beside
//! the salt.

use aead_stream::aead::{Aead, KeyInit, Payload};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::checksum::{hex_bytes, to_hex};
use crate::{FORMAT_VERSION, FormatError};

/// The key that encrypts pieces. Never stored, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; 32]);

impl DataKey {
    /// A new random key.
    pub fn generate() -> Self {
        DataKey(random())
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A keyed checksum of `bytes`: proves that whoever wrote them held the key.
    pub fn authenticate(&self, bytes: &[u8]) -> String {
        let subkey = blake3::derive_key("strongroom 2026-11 manifest authentication", &self.0);
        blake3::keyed_hash(&subkey, bytes).to_hex().to_string()
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// What a person holds: a key, or a passphrase to make one from.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub enum Secret {
    /// 256 bits of key.
    Key([u8; 32]),
    /// Words to stretch into a key.
    Passphrase(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Reads the bytes of a key file: 32 raw bytes or 64 hexadecimal digits are a key; any other
    /// text is a passphrase.
    pub fn from_file(bytes: &[u8]) -> Result<Self, FormatError> {
        if let Ok(key) = <[u8; 32]>::try_from(bytes) {
            return Ok(Secret::Key(key));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| {
            FormatError::BadKey(
                "a key file holds 32 bytes, 64 hexadecimal digits, or a passphrase".to_owned(),
            )
        })?;
        let text = text.trim();
        if let Some(key) = hex_bytes(text).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            return Ok(Secret::Key(key));
        }
        Secret::passphrase(text)
    }

    /// A passphrase.
    pub fn passphrase(text: &str) -> Result<Self, FormatError> {
        if text.len() < 8 {
            return Err(FormatError::BadKey(
                "the passphrase is shorter than 8 characters, or the key file is empty".to_owned(),
            ));
        }
        Ok(Secret::Passphrase(text.to_owned()))
    }
}

/// How a wrapping key is made from a [`Secret`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Derivation {
    /// The secret is the key.
    Key,
    /// Argon2id: memory in KiB, passes, lanes, and the salt in hexadecimal.
    Argon2id { memory_kib: u32, passes: u32, lanes: u32, salt: String },
}

/// The data key, wrapped by one wrapping key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Slot {
    #[serde(flatten)]
    derivation: Derivation,
    nonce: String,
    wrapped: String,
}

/// The `ENCRYPTION-INFO` object: the data key of a chain, wrapped once per wrapping key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptionInfo {
    version: u32,
    /// Tells which data key is wrapped here; manifests name it.
    pub key_id: String,
    slots: Vec<Slot>,
}

impl EncryptionInfo {
    /// Wraps `key` for `secret`.
    pub fn seal(key: &DataKey, secret: &Secret) -> Result<Self, FormatError> {
        let key_id = to_hex(&random::<8>());
        let slot = Slot::seal(key, &key_id, secret)?;
        Ok(EncryptionInfo { version: FORMAT_VERSION, key_id, slots: vec![slot] })
    }

    /// The data key, if `secret` opens one of the slots.
    pub fn open(&self, secret: &Secret) -> Result<DataKey, FormatError> {
        self.slots
            .iter()
            .find_map(|slot| slot.open(&self.key_id, secret))
            .ok_or(FormatError::WrongKey)
    }

    /// The same data key wrapped for `new` alone: after it is stored, `old` opens nothing.
    pub fn rotate(&self, old: &Secret, new: &Secret) -> Result<Self, FormatError> {
        let key = self.open(old)?;
        let slot = Slot::seal(&key, &self.key_id, new)?;
        Ok(EncryptionInfo { slots: vec![slot], ..self.clone() })
    }

    /// The stored form: JSON.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads the stored form.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let not = |reason: String| FormatError::NotA { expected: "key envelope", reason };
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|e| not(e.to_string()))?;
        if head.version > FORMAT_VERSION {
            return Err(FormatError::NewerVersion {
                found: head.version,
                supported: FORMAT_VERSION,
            });
        }
        serde_json::from_slice(bytes).map_err(|e| not(e.to_string()))
    }
}

impl Slot {
    fn seal(key: &DataKey, key_id: &str, secret: &Secret) -> Result<Self, FormatError> {
        let derivation = match secret {
            Secret::Key(_) => Derivation::Key,
            // The first recommendation of RFC 9106 for machines without 2 GiB to spare.
            Secret::Passphrase(_) => Derivation::Argon2id {
                memory_kib: 64 * 1024,
                passes: 3,
                lanes: 4,
                salt: to_hex(&random::<16>()),
            },
        };
        let cipher = derivation.cipher(secret).ok_or(FormatError::WrongKey)?;
        let nonce = random::<24>();
        let wrapped = cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: &key.0, aad: key_id.as_bytes() })
            .map_err(|_| FormatError::Decryption)?;
        Ok(Slot { derivation, nonce: to_hex(&nonce), wrapped: to_hex(&wrapped) })
    }

    fn open(&self, key_id: &str, secret: &Secret) -> Option<DataKey> {
        let cipher = self.derivation.cipher(secret)?;
        let nonce: [u8; 24] = hex_bytes(&self.nonce)?.try_into().ok()?;
        let wrapped = hex_bytes(&self.wrapped)?;
        let mut key = cipher
            .decrypt(&XNonce::from(nonce), Payload { msg: &wrapped, aad: key_id.as_bytes() })
            .ok()?;
        let opened = <[u8; 32]>::try_from(key.as_slice()).ok().map(DataKey);
        key.zeroize();
        opened
    }
}

impl Derivation {
    /// The cipher of the wrapping key, or `None` if the secret is of another kind.
    fn cipher(&self, secret: &Secret) -> Option<XChaCha20Poly1305> {
        match (self, secret) {
            (Derivation::Key, Secret::Key(key)) => Some(XChaCha20Poly1305::new(&Key::from(*key))),
            (
                Derivation::Argon2id { memory_kib, passes, lanes, salt },
                Secret::Passphrase(words),
            ) => {
                // A damaged envelope must not make us reserve the machine's memory.
                let sane = *memory_kib <= 1024 * 1024 && *passes <= 16 && *lanes <= 16;
                let params =
                    sane.then(|| Params::new(*memory_kib, *passes, *lanes, Some(32)).ok())??;
                let mut key = [0; 32];
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(words.as_bytes(), &hex_bytes(salt)?, &mut key)
                    .ok()?;
                let cipher = XChaCha20Poly1305::new(&Key::from(key));
                key.zeroize();
                Some(cipher)
            }
            _ => None,
        }
    }
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[allow(clippy::expect_used, reason = "without randomness no key can be made safely")]
    getrandom::fill(&mut bytes).expect("the operating system gives no random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_secret_opens_what_it_sealed_and_no_other_does() {
        let key = DataKey::generate();
        let file = Secret::from_file(&[7; 32]).unwrap();
        let words = Secret::from_file(b"correct horse battery\n").unwrap();
        for (own, other) in [(&file, &words), (&words, &file)] {
            let info = EncryptionInfo::seal(&key, own).unwrap();
            let stored = EncryptionInfo::decode(&info.encode()).unwrap();
            assert_eq!(stored.open(own).unwrap().bytes(), key.bytes());
            assert_eq!(stored.open(other).unwrap_err(), FormatError::WrongKey);
        }
    }

    #[test]
    fn rotation_changes_the_wrapping_key_and_keeps_the_data_key() {
        let key = DataKey::generate();
        let (old, new) = (Secret::Key([1; 32]), Secret::Key([2; 32]));
        let info = EncryptionInfo::seal(&key, &old).unwrap();
        let rotated = info.rotate(&old, &new).unwrap();
        assert_eq!(rotated.open(&new).unwrap().bytes(), key.bytes());
        assert!(rotated.open(&old).is_err());
        assert!(info.rotate(&new, &old).is_err());
    }

    #[test]
    fn key_files_are_told_apart() {
        assert!(matches!(Secret::from_file("ab".repeat(32).as_bytes()), Ok(Secret::Key(_))));
        assert!(matches!(Secret::from_file(&[0xff; 32]), Ok(Secret::Key(_))));
        assert!(matches!(Secret::from_file(b"a passphrase"), Ok(Secret::Passphrase(_))));
        for bad in [&b""[..], b"\n", b"short", &[0xff; 31]] {
            assert!(Secret::from_file(bad).is_err());
        }
    }
}
