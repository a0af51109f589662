//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second takes what it gets.
//!
//! Only commands that leave something behind when they are killed listen; all others die by the
//! signal at once, as people expect.

use strongroom_dataplane::CancellationToken;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::progress::Reporter;

/// A token that the first signal cancels. The second one ends the program.
pub(crate) fn cancelled_by_signals(reporter: &Reporter) -> CancellationToken {
    let cancel = CancellationToken::new();
    let signals = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    match signals {
        Ok((interrupt, terminate)) => {
            tokio::spawn(listen(interrupt, terminate, cancel.clone(), reporter.clone()));
        }
        // Then a signal kills the program, which leaves remains but harms nothing.
        Err(error) => reporter.note(&format!("signals can not be caught: {error}")),
    }
    cancel
}

async fn listen(
    mut interrupt: Signal,
    mut terminate: Signal,
    cancel: CancellationToken,
    reporter: Reporter,
) {
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    cancel.cancel();
    reporter.say("stopping: cleaning up (press Ctrl-C again to leave remains)");
    next().await;
    reporter.finish();
    std::process::exit(1);
}
