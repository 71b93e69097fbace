//! So many a second, and a second's worth at once.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// A flood is reported so often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What becomes of one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateDecision {
    Pass,
    /// It passes, and it is time to say how many did not.
    PassAfter(u64),
    Drop,
}

/// Lets so many pass a second.
#[derive(Debug)]
pub(crate) struct LineRate {
    rate: f64,
    state: Mutex<RateState>,
}

#[derive(Debug)]
struct RateState {
    left: f64,
    since: Instant,
    dropped: u64,
    told: Option<Instant>,
}

impl LineRate {
    pub(crate) fn new(rate: u32) -> Self {
        let rate = f64::from(rate);
        Self { rate, state: Mutex::new(RateState { left: rate, since: Instant::now(), dropped: 0, told: None }) }
    }

    pub(crate) fn turn(&self) -> RateDecision {
        self.turn_at(Instant::now())
    }

    fn turn_at(&self, now: Instant) -> RateDecision {
        let mut state = self.state.lock();
        let elapsed = now.saturating_duration_since(state.since).as_secs_f64();
        state.left = (state.left + elapsed * self.rate).min(self.rate);
        state.since = now;
        if state.left < 1.0 {
            state.dropped += 1;
            return RateDecision::Drop;
        }
        state.left -= 1.0;
        let is_time = state.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        if state.dropped == 0 || !is_time {
            return RateDecision::Pass;
        }
        state.told = Some(now);
        RateDecision::PassAfter(std::mem::take(&mut state.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_passes_at_once_and_then_so_many_a_second() {
        let pace = LineRate::new(10);
        let start = Instant::now();
        let passed = (0..50).filter(|_| pace.turn_at(start) == RateDecision::Pass).count();
        assert_eq!(passed, 10);
        assert_eq!(pace.turn_at(start + Duration::from_millis(110)), RateDecision::PassAfter(40));
        assert_eq!(pace.turn_at(start + Duration::from_millis(120)), RateDecision::Drop);
        assert_eq!(
            pace.turn_at(start + Duration::from_millis(220)),
            RateDecision::Pass,
            "a flood is told of once a second"
        );
        assert_eq!(pace.turn_at(start + Duration::from_millis(1200)), RateDecision::PassAfter(1));
        assert_eq!(LineRate::new(0).turn_at(start), RateDecision::Drop);
    }
}
