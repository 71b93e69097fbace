//! Since when a partition stands still, and what is said of it.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// What the watchdog notes of a lease.
#[derive(Debug)]
pub(crate) struct StallState {
    seen: Mutex<StallSample>,
}

#[derive(Debug)]
struct StallSample {
    place: i64,
    since: Instant,
    stalled: Option<String>,
    halted: Option<String>,
}

impl StallState {
    /// It has been at `place` since now.
    pub(crate) fn new(place: i64) -> Self {
        Self { seen: Mutex::new(StallSample { place, since: Instant::now(), stalled: None, halted: None }) }
    }

    /// For how long it has been at `place` although it `has_lag`, as far as anyone looked.
    pub(crate) fn observe(&self, place: i64, has_lag: bool) -> Duration {
        let mut seen = self.seen();
        if seen.place != place || !has_lag {
            seen.place = place;
            seen.since = Instant::now();
        }
        seen.since.elapsed()
    }

    /// Notes why it stands still, or that it moves. Returns whether that is news.
    pub(crate) fn note(&self, stalled: Option<String>) -> bool {
        let mut seen = self.seen();
        let is_news = seen.stalled.is_some() != stalled.is_some();
        seen.stalled = stalled;
        is_news
    }

    /// Notes why it can't continue under this lease, whatever happens. Returns whether that is news. A later reason knows more.
    pub(crate) fn halt(&self, reason: String) -> bool {
        self.seen().halted.replace(reason).is_none()
    }

    /// Whether it can't continue under this lease.
    pub(crate) fn is_halted(&self) -> bool {
        self.seen().halted.is_some()
    }

    /// Why it makes no progress.
    pub(crate) fn reason(&self) -> Option<String> {
        let seen = self.seen();
        seen.halted.clone().or_else(|| seen.stalled.clone())
    }

    fn seen(&self) -> parking_lot::MutexGuard<'_, StallSample> {
        self.seen.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_ends_a_stall_but_not_a_halt() {
        let standing = StallState::new(3);
        std::thread::sleep(Duration::from_millis(5));
        assert!(standing.observe(3, true) >= Duration::from_millis(5));
        assert!(standing.note(Some("slow".into())) && !standing.note(Some("slower".into())));
        assert_eq!(standing.reason().as_deref(), Some("slower"));
        assert!(standing.observe(3, false) < Duration::from_millis(5), "who has nothing to do does not stand still");
        assert!(standing.observe(4, true) < Duration::from_millis(5));
        assert!(standing.note(None) && standing.reason().is_none());
        assert!(standing.halt("gone".into()) && !standing.halt("again".into()));
        assert!(!standing.note(None));
        assert_eq!(standing.reason().as_deref(), Some("again"));
    }
}
