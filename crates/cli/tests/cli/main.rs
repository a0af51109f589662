//! The program as its users meet it: arguments in, text, JSON and exit codes out.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(clippy::print_stdout, reason = "what a failing test was at is shown with its failure")]

mod bad_input;
mod consistency;
#[cfg(feature = "failpoints")]
mod crashes;
mod damage;
mod diff;
mod docs;
mod drills;
mod event_triggers;
mod faults;
mod fidelity;
#[cfg(feature = "failpoints")]
mod incremental;
mod listing;
mod master_key;
mod prune;
mod rows;
mod same_names;
#[cfg(feature = "failpoints")]
mod service_crashes;
mod source;
mod state;
mod stopping;
mod support;
mod tables;
mod usage;
mod users;
