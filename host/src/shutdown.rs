//! The signal to stop: SIGTERM or SIGINT, once for everybody.

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
