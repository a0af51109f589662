//! The `CONTENTS` object, after its piece was opened.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_format::contents::Contents;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(contents) = Contents::decode(bytes) {
        assert_eq!(Contents::decode(&contents.encode()), Ok(contents));
    }
});
