//! Named points where a test makes the service die, or a step fail, as the engine has them
//! (`strongroom_dataplane::failpoint`): `FAILPOINTS=name=return(kill)`. Without the feature
//! `failpoints` nothing of this is in the program.

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
#[cfg(feature = "failpoints")]
pub(crate) fn pass(name: &str) -> crate::Result<()> {
    fail::fail_point!(name, |action| match action.as_deref() {
        Some("kill") => {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", &std::process::id().to_string()])
                .status();
            // The signal is on its way; nothing more may happen here.
            loop {
                std::thread::park();
            }
        }
        _ => Err(crate::Error::new(
            crate::Kind::Unavailable,
            format!("failpoint {name}: made to fail by a test"),
        )),
    });
    Ok(())
}

/// Nothing, in a build without failpoints.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn pass(_name: &str) -> crate::Result<()> {
    Ok(())
}
