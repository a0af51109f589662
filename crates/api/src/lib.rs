//! The HTTP face of the Strongroom service: the original's Cloud API v1, and what it lacks beside it.
//!
//! A request passes [`router`] (what there is), [`auth`] (who asks), a handler in [`routes`] (one file
//! per noun), the control plane, and [`views`] (what is shown of the control plane's types). Refusals
//! and failures become replies in [`error`], the one place that knows HTTP statuses. [`openapi`]
//! describes all of it, and the description is committed. With the feature `console`, whatever is not
//! the API's is answered by the web console.
//!
//! Invariant: no rule of the product is here. A handler translates, calls one function of
//! [`strongroom_controlplane::App`], and translates back.

pub mod auth;
#[cfg(feature = "console")]
mod console;
pub mod error;
pub mod openapi;
pub mod paging;
pub mod router;
pub mod routes;
pub mod views;

pub use router::router;
