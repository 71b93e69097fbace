//! Calls of librdkafka that may never return.

use std::sync::mpsc;
use std::time::Duration;

/// What `call` answers, or none when it has not for as long as that: then its thread is left behind, with what it holds.
pub(crate) fn answered_within<T: Send + 'static>(
    longest: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = mpsc::sync_channel(1);
    // No one listens any more to an answer that comes too late.
    std::thread::spawn(move || drop(tell.send(call())));
    told.recv_timeout(longest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_never_returns_is_not_waited_for() {
        assert_eq!(answered_within(Duration::from_secs(60), || 1), Some(1));
        let (_never, told) = mpsc::channel::<()>();
        assert_eq!(answered_within(Duration::from_millis(1), move || told.recv()), None);
    }
}
