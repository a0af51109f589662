//! Rows in the text form of `COPY`, and text in the encodings that a database can have.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_dataplane::fuzzing;

// The first bytes choose: the columns, how much of a value is kept, how the bytes are cut.
fuzz_target!(|bytes: &[u8]| {
    if let Some(([columns, keep, step], text)) = bytes.split_first_chunk::<3>() {
        fuzzing::copy_text(text, usize::from(*columns) % 8, usize::from(*keep), usize::from(*step));
    }
});
