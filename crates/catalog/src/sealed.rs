//! Secrets at rest: encrypted before they reach the database.
//!
//! Connection URLs, collection URLs and keys of collections are sealed with XChaCha20-Poly1305
//! under a *master key*, which lies in a file of its own, never in the database. A dump of the
//! catalog, or a replica of its server, tells nothing about the clusters. Each value is bound to
//! its place: the associated data is table, row and column, so that nobody who can write to the
//! database can move one cluster's sealed URL into another's row and have it opened there.
//!
//! ```text
//! sealed value:  01 | key id, 8 bytes | nonce, 24 bytes | ciphertext and tag
//! key file:      one key per line, 64 hexadecimal digits; the first one seals, all of them open
//! ```
//!
//! # Rotation, and where it may be interrupted
//!
//! 1. [`MasterKeys::add_to`] writes the file anew, with a new key before the old ones: into a
//!    temporary file, synced, renamed. Killed before the rename, nothing has happened; after it,
//!    new values are sealed with the new key, and old ones still open.
//! 2. `Catalog::reseal` seals every value again, in one transaction. Killed, it has done nothing,
//!    and is run again.
//! 3. [`MasterKeys::retire_old_in`] leaves only the first key in the file. Not before 2 has ended:
//!    what still needed an old key would be lost.
//!
//! With several replicas, the file of step 1 is given to all of them, and they are restarted,
//! before step 2.
//!
//! # The wrong key
//!
//! The catalog keeps one sealed value of no meaning, the *key check*. Opening the catalog with keys
//! that do not open it fails at once, and a key file is only made for a catalog that has none yet:
//! a lost key file is an error, not a reason to begin again with another key.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{CatalogError, Result};

/// Text that is not to be shown: no `Display`, and a `Debug` that says nothing.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text, for whoever really needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[allow(clippy::expect_used, reason = "without randomness no key can be made safely")]
    getrandom::fill(&mut bytes).expect("the operating system gives no random bytes");
    bytes
}

/// `bytes` in hexadecimal.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that `text` spells in hexadecimal.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let digits = |at: usize| text.get(at..at + 2).filter(|pair| !pair.starts_with('+'));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(digits(at)?, 16).ok()).collect()
}

#[derive(Clone, Zeroize, ZeroizeOnDrop)]
struct MasterKey([u8; 32]);

impl MasterKey {
    /// Tells keys apart, and tells nothing about them.
    fn id(&self) -> [u8; 8] {
        let hash = Zeroizing::new(blake3::derive_key("strongroom 2026-11 master key id", &self.0));
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        id
    }
}

/// The keys that seal and open secrets of the catalog.
#[derive(Clone)]
pub struct MasterKeys(Vec<MasterKey>);

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKeys(..)")
    }
}

/// Where a sealed value stands. It opens nowhere else.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a str,
    pub(crate) column: &'static str,
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        // No part can contain the separator: the database refuses NUL in text.
        [self.table, self.row, self.column].join("\0").into_bytes()
    }

    fn refused(&self, reason: impl Into<String>) -> CatalogError {
        CatalogError::Sealed {
            table: self.table,
            column: self.column,
            row: self.row.to_owned(),
            reason: reason.into(),
        }
    }
}

const VERSION: u8 = 1;
const HEADER: usize = 1 + 8 + 24;

impl MasterKeys {
    /// One new random key.
    pub fn generate() -> Self {
        MasterKeys(vec![MasterKey(random())])
    }

    /// Reads the text of a key file: one key of 64 hexadecimal digits per line.
    pub fn parse(text: &str) -> Result<Self> {
        let key = |line: &str| {
            let bytes = Zeroizing::new(from_hex(line)?);
            Some(MasterKey(bytes.as_slice().try_into().ok()?))
        };
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<_>> = lines.map(key).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(MasterKeys(keys)),
            _ => Err(CatalogError::MasterKey(
                "a master key file holds lines of 64 hexadecimal digits".to_owned(),
            )),
        }
    }

    /// Reads a key file. `None`: there is none.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(file_error(path, error)),
        };
        match Self::parse(&text) {
            Err(CatalogError::MasterKey(reason)) => {
                Err(CatalogError::MasterKey(format!("{}: {reason}", path.display())))
            }
            parsed => parsed.map(Some),
        }
    }

    /// Makes a key file with a new key, readable by its owner alone. An existing file is never
    /// replaced: whoever made it first, its keys are returned.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let keys = Self::generate();
        let temporary = keys.write_beside(path)?;
        // A link fails where the name is taken; a rename would take it away.
        let linked = fs::hard_link(&temporary, path);
        let _ = fs::remove_file(&temporary);
        match linked {
            Ok(()) => sync_folder(path).map(|()| keys),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::load(path)?.ok_or_else(|| file_error(path, error))
            }
            Err(error) => Err(file_error(path, error)),
        }
    }

    /// First step of a rotation: puts a new key before the old ones, and returns all of them.
    pub fn add_to(path: &Path) -> Result<Self> {
        let Some(MasterKeys(old)) = Self::load(path)? else { return Err(no_file(path)) };
        let keys = MasterKeys([MasterKey(random())].into_iter().chain(old).collect());
        keys.replace(path)?;
        Ok(keys)
    }

    /// Last step of a rotation: leaves only the first key.
    pub fn retire_old_in(path: &Path) -> Result<Self> {
        let Some(MasterKeys(mut keys)) = Self::load(path)? else { return Err(no_file(path)) };
        keys.truncate(1);
        let keys = MasterKeys(keys);
        keys.replace(path)?;
        Ok(keys)
    }

    fn replace(&self, path: &Path) -> Result<()> {
        let temporary = self.write_beside(path)?;
        fs::rename(&temporary, path).map_err(|error| file_error(path, error))?;
        sync_folder(path)
    }

    /// Writes the keys durably into a new file beside `path`.
    fn write_beside(&self, path: &Path) -> Result<PathBuf> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", to_hex(&random::<4>())));
        let temporary = path.with_file_name(name);
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
            for key in &self.0 {
                let line = Zeroizing::new(format!("{}\n", to_hex(&key.0)));
                file.write_all(line.as_bytes())?;
            }
            file.sync_all()
        };
        write().map_err(|error| file_error(&temporary, error))?;
        Ok(temporary)
    }

    /// Seals `secret` for this place.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &Secret) -> Result<Vec<u8>> {
        let key = self.0.first().ok_or_else(|| place.refused("there is no master key"))?;
        let nonce: [u8; 24] = random();
        let data = place.associated_data();
        let payload = Payload { msg: secret.expose().as_bytes(), aad: &data };
        let sealed = XChaCha20Poly1305::new(&Key::from(key.0))
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| place.refused("it is too long to be sealed"))?;
        Ok([&[VERSION][..], &key.id(), &nonce, &sealed].concat())
    }

    /// Opens what was sealed for this place.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Secret> {
        if sealed.len() < HEADER || sealed[0] != VERSION {
            return Err(place.refused("it is not in a form that this strongroom knows"));
        }
        let (header, ciphertext) = sealed.split_at(HEADER);
        let (id, nonce) = (&header[1..9], &header[9..]);
        let key = self.0.iter().find(|key| key.id() == id).ok_or_else(|| {
            place.refused(format!("it was sealed with master key {}, which is missing", to_hex(id)))
        })?;
        let nonce: [u8; 24] = nonce.try_into().map_err(|_| place.refused("it was cut short"))?;
        let data = place.associated_data();
        let opened = XChaCha20Poly1305::new(&Key::from(key.0))
            .decrypt(&XNonce::from(nonce), Payload { msg: ciphertext, aad: &data })
            .map_err(|_| place.refused("it was altered, or moved here from elsewhere"))?;
        match String::from_utf8(opened) {
            Ok(text) => Ok(Secret(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(place.refused("it is no text"))
            }
        }
    }
}

fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| file_error(folder, error))
}

fn no_file(path: &Path) -> CatalogError {
    CatalogError::MasterKey(format!("there is no master key file {}", path.display()))
}

pub(crate) fn file_error(path: &Path, source: io::Error) -> CatalogError {
    CatalogError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const HERE: Place<'static> = Place { table: "clusters", row: "1", column: "connection" };

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let keys = MasterKeys::generate();
        let secret = Secret::new("postgresql://ann:hush@db/x");
        let sealed = keys.seal(HERE, &secret).unwrap();
        assert!(!sealed.windows(4).any(|bytes| bytes == b"hush"));
        assert_eq!(keys.open(HERE, &sealed).unwrap(), secret);
        for elsewhere in [
            Place { table: "storage_locations", ..HERE },
            Place { row: "2", ..HERE },
            Place { column: "other", ..HERE },
        ] {
            assert!(keys.open(elsewhere, &sealed).is_err());
        }
        assert_ne!(sealed, keys.seal(HERE, &secret).unwrap(), "nonces are random");
    }

    #[test]
    fn altered_cut_and_foreign_values_are_refused() {
        let keys = MasterKeys::generate();
        let sealed = keys.seal(HERE, &Secret::new("hush")).unwrap();
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(keys.open(HERE, &altered).is_err(), "byte {at}");
            assert!(keys.open(HERE, &sealed[..at]).is_err(), "{at} bytes");
        }
        assert!(MasterKeys::generate().open(HERE, &sealed).is_err());
    }

    #[test]
    fn a_rotation_opens_old_values_until_the_old_key_is_retired() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let first = MasterKeys::create(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let old = first.seal(HERE, &Secret::new("old")).unwrap();

        let both = MasterKeys::add_to(&path).unwrap();
        assert!(both.open(HERE, &old).is_ok());
        let new = both.seal(HERE, &Secret::new("new")).unwrap();
        assert!(first.open(HERE, &new).is_err());

        let last = MasterKeys::retire_old_in(&path).unwrap();
        assert!(last.open(HERE, &old).is_err());
        assert!(last.open(HERE, &new).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_key_file_is_never_replaced_by_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let sealed = MasterKeys::create(&path).unwrap().seal(HERE, &Secret::new("x")).unwrap();
        assert!(MasterKeys::create(&path).unwrap().open(HERE, &sealed).is_ok());
    }

    #[test]
    fn other_files_are_no_keys() {
        for text in ["", "\n", "hello", &"ab".repeat(31), &"zz".repeat(32), &"+a".repeat(32)] {
            assert!(MasterKeys::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_secret_is_debugged() {
        let keys = MasterKeys::parse(&"ab".repeat(32)).unwrap();
        assert_eq!(format!("{keys:?} {:?}", Secret::new("hush")), "MasterKeys(..) Secret(..)");
    }
}
