//! The test servers, tested: a tool that misleads is worse than none.

#![allow(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod everything;
mod program;
mod proxy;
mod s3;
mod versions;
