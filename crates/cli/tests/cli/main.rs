//! The program as its users meet it: arguments in, text, JSON and exit codes out.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod fidelity;
mod listing;
mod stopping;
mod support;
mod usage;
