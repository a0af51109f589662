//! To be written.
use super::{Plan, RestoreOptions, Restored};
use crate::collection::Backup;
use crate::progress::Progress;
use crate::{CancellationToken, Result};
pub(super) async fn plan(_: &Backup, _: &RestoreOptions) -> Result<Plan> { Ok(Plan::default()) }
pub(super) async fn run(_: &Backup, _: &RestoreOptions, _: Plan, _: &Progress, _: &CancellationToken) -> Result<Restored> { Ok(Restored::default()) }
