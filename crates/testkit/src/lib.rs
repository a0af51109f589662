//! Real servers for the tests to run against.
//!
//! Strongroom promises things about PostgreSQL, S3 and broken networks, and a promise checked against a
//! mock is checked against our own beliefs. So the tests start the real thing: a throwaway PostgreSQL
//! cluster ([`Cluster`]), a server that speaks and verifies the S3 protocol ([`S3Server`]), a TCP proxy
//! that breaks connections on demand ([`Proxy`]), and the `strongroom` program itself in a clean
//! environment ([`Strongroom`]). Each of them can be told to misbehave while a test runs.
//!
//! Everything here panics with the server's own words when something is wrong with the set-up: a test has
//! no better answer, and the message is what its reader needs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a crate for tests only, where a panic with a message is how a failure is told"
)]

mod abandoned;
pub mod fixtures;
mod postgres;
mod postgres_contents;
mod postgres_install;
mod proxy;
mod s3;
mod s3_faults;
mod tools;

pub use postgres::{Cluster, ClusterBuilder};
pub use postgres_contents::{assert_same_contents, assert_same_dump};
pub use postgres_install::{installed_versions, tested_versions};
pub use proxy::Proxy;
pub use s3::S3Server;
pub use s3_faults::{Fault, Served};
pub use tools::{Output, Running, Strongroom};
