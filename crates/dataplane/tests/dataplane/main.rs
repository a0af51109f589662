//! What the service asks of the engine, against real servers. What the command line shows is tested
//! there.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(clippy::print_stdout, reason = "what was tried last is shown when a test fails")]

mod support;

mod drills;
mod progress;
mod publication;
mod regions;
