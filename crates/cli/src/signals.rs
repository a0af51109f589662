//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second takes what it gets.
//!
//! Only commands that leave something behind when they are killed listen; all others die by the
//! signal at once, as people expect.

use std::io;

use strongroom_dataplane::CancellationToken;
use tokio::signal::unix::{SignalKind, signal};

use crate::progress::Reporter;

/// A token that the first signal cancels. The second one ends the program.
pub(crate) fn cancelled_by_signals(reporter: &Reporter) -> CancellationToken {
    let cancel = CancellationToken::new();
    let (stopping, leaving) = (reporter.clone(), reporter.clone());
    let stop = move || {
        stopping.say("stopping: cleaning up (press Ctrl-C again to leave remains)");
    };
    let leave = move || {
        leaving.finish();
    };
    // If it fails, a signal kills the program, which leaves remains but harms nothing.
    if let Err(error) = on_signals(cancel.clone(), stop, leave) {
        reporter.note(&format!("signals can not be caught: {error}"));
    }
    cancel
}

/// Cancels `cancel` and calls `stopping` at the first signal; at the second, calls `leaving` and ends
/// the program.
pub(crate) fn on_signals(
    cancel: CancellationToken,
    stopping: impl FnOnce() + Send + 'static,
    leaving: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        cancel.cancel();
        stopping();
        next().await;
        leaving();
        std::process::exit(1);
    });
    Ok(())
}
