//! The archive that `pg_dump` made, and the definitions in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_dataplane::fuzzing;

fuzz_target!(|bytes: &[u8]| fuzzing::archive(bytes));
