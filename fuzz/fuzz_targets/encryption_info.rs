//! The `ENCRYPTION-INFO` object. It is tried with a key only: stretching a passphrase takes too long here.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_format::key::{EncryptionInfo, Secret};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(info) = EncryptionInfo::decode(bytes) {
        let _ = info.open(&Secret::Key([7; 32]));
        assert_eq!(EncryptionInfo::decode(&info.encode()), Ok(info));
    }
});
