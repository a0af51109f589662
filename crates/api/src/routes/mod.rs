//! The handlers: a file per noun, each with a function that lists its routes.

pub mod backups;
pub mod contents;
pub mod jobs;
pub mod organization;
pub mod storage_locations;

use axum::extract::{FromRequest, FromRequestParts};

use crate::error::Unreadable;

/// A body in JSON; what can not be read is refused in our form.
#[derive(Debug, FromRequest)]
#[from_request(via(axum::Json), rejection(Unreadable))]
pub struct Body<T>(pub T);

/// The query; what can not be read is refused in our form.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Unreadable))]
pub struct Query<T>(pub T);

/// The parameters in the path; what can not be read is refused in our form.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Unreadable))]
pub struct Path<T>(pub T);
