//! Named points where a test makes the service die, or a step fail, beside those of the engine and in
//! the same way (`strongroom_dataplane::failpoint`): `FAILPOINTS=name=return(kill)`.

/// Every failpoint of the service's own steps, those of backups first.
pub const SERVICE: &[&str] = &[
    "service.before-enqueue",
    "service.after-enqueue",
    "service.after-claim",
    "service.before-record",
    "service.after-record",
    "service.before-retire",
    "service.after-retire",
    "service.before-forget",
    "service.after-forget",
    "service.before-finish",
    "service.after-finish",
];

/// Dies or fails here if a test asked for it.
pub(crate) fn pass(name: &str) -> crate::Result<()> {
    Ok(strongroom_dataplane::failpoint::pass(name)?)
}
