//! The text of a definition, which is cut into tokens and renamed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_dataplane::fuzzing;

fuzz_target!(|text: &str| fuzzing::definition(text));
