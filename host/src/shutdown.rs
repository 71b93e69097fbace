//! The signal to stop: SIGTERM or SIGINT, once for everybody.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// A token that is cancelled at the first SIGTERM or SIGINT. A second signal ends the process at once.
pub(crate) fn on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                tracing::warn!("second signal: stopping without draining");
                std::process::exit(130);
            }
            tracing::info!("stopping: running invocations get their drain timeout, a second signal stops at once");
            stop.cancel();
        }
    });
    Ok(token)
}

/// Ends the process with success once `longest` has passed since `stop`: for what blocks a thread in librdkafka, which no
/// other bound reaches. `longest` is asked when the stop begins.
///
/// What was unfinished runs again, exactly as after a crash.
pub(crate) fn exit_late(stop: CancellationToken, longest: impl FnOnce() -> Duration + Send + 'static) {
    tokio::spawn(async move {
        stop.cancelled().await;
        let longest = longest();
        // A thread of its own: all of the runtime's may be blocked, or the runtime gone.
        std::thread::spawn(move || {
            std::thread::sleep(longest);
            tracing::warn!(
                seconds = longest.as_secs_f32(),
                "kafka did not answer while the host was stopping: it ends now, and unfinished records run again"
            );
            end_at_once();
        });
    });
}

#[allow(unsafe_code, reason = "std::process::exit runs handlers of C libraries, whose threads still run")]
fn end_at_once() {
    // Stderr has no buffer of its own, and nothing else is left to be written.
    // SAFETY: `_exit` may be called at any time, from any thread.
    unsafe { libc::_exit(0) }
}
