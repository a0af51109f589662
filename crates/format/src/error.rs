//! Why stored bytes were refused.

use thiserror::Error;

/// A refusal of stored bytes. It names what is wrong; the caller knows which object it read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FormatError {
    /// The object was written by a later version of Strongroom.
    #[error("it has format version {found}, and this strongroom reads up to version {supported}")]
    NewerVersion {
        /// The version the object names.
        found: u32,
        /// The highest version that this build reads.
        supported: u32,
    },
    /// The bytes are not what the object's name promises.
    #[error("it is not a {expected}: {reason}")]
    NotA {
        /// What was expected.
        expected: &'static str,
        /// What was found instead.
        reason: String,
    },
    /// The bytes changed since they were written.
    #[error("its checksum is {found}, and it was written as {expected}")]
    Checksum {
        /// The checksum that was recorded.
        expected: String,
        /// The checksum of the bytes that were read.
        found: String,
    },
    /// There are fewer or more bytes than were written.
    #[error("it has {found} {unit}, and {expected} were written")]
    Length {
        /// What is counted.
        unit: &'static str,
        /// The recorded number.
        expected: u64,
        /// The number that was read.
        found: u64,
    },
    /// The object names another backup or place than the one it was read from.
    #[error("it says that it is {found}, so it was put in the place of {expected}")]
    Misplaced {
        /// The identity expected at this place.
        expected: String,
        /// The identity that the object claims.
        found: String,
    },
    /// Decompression failed.
    #[error("it can not be decompressed: {0}")]
    Compression(String),
    /// Decryption failed: another key, or altered bytes.
    #[error("it can not be decrypted: the key is another one, or the bytes were altered")]
    Decryption,
    /// No key was given for encrypted bytes.
    #[error("it is encrypted, and no key was given")]
    KeyNeeded,
    /// The key opens no slot of the envelope.
    #[error("the key given does not open it")]
    WrongKey,
    /// A key file or passphrase can not be used.
    #[error("{0}")]
    BadKey(String),
    /// A backup id is not of the form `2026/11/22-130000.00`.
    #[error("'{0}' is not a backup id (they look like 2026/11/22-130000.00)")]
    BadId(String),
}
