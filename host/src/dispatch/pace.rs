//! How fast the guest is, and so how many records one call may take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A call of many records should not last longer: its results wait for the last of them.
const LONGEST_CALL: Duration = Duration::from_millis(5);

/// Several lanes share a call only while it is this short: otherwise they had better run side by side.
const LONGEST_SHARED_CALL: Duration = Duration::from_millis(1);

/// A running mean of the time that a record takes in the guest.
#[derive(Debug, Default)]
pub(crate) struct RecordPace {
    /// Nanoseconds a record; 0 while nothing is known.
    mean: AtomicU64,
}

/// How much one worker may take at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchBounds {
    pub(crate) of_one_lane: usize,
    /// Records in all, from several lanes.
    pub(crate) in_all: usize,
}

impl RecordPace {
    /// Notes that a call of `records` took `elapsed`.
    pub(crate) fn note(&self, records: usize, elapsed: Duration) {
        if records == 0 {
            return;
        }
        let sample = (elapsed.as_nanos() as u64 / records as u64).max(1);
        let before = self.mean.load(Ordering::Relaxed);
        let after = if before == 0 { sample } else { (before * 7 + sample) / 8 };
        self.mean.store(after.max(1), Ordering::Relaxed);
    }

    /// How much a worker may take when `most` records are allowed in a call.
    pub(crate) fn portion(&self, most: usize) -> BatchBounds {
        match self.mean.load(Ordering::Relaxed) {
            // The first call shows what a record takes.
            0 => BatchBounds { of_one_lane: 1, in_all: 1 },
            mean => {
                let fitting = |longest: Duration| (longest.as_nanos() as u64 / mean).clamp(1, most as u64) as usize;
                BatchBounds { of_one_lane: fitting(LONGEST_CALL), in_all: fitting(LONGEST_SHARED_CALL) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_guests_get_many_records_and_slow_ones_few() {
        let pace = RecordPace::default();
        assert_eq!(pace.portion(256), BatchBounds { of_one_lane: 1, in_all: 1 });
        pace.note(1, Duration::from_micros(1));
        assert_eq!(pace.portion(256), BatchBounds { of_one_lane: 256, in_all: 256 });
        for _ in 0..100 {
            pace.note(1, Duration::from_millis(2));
        }
        assert_eq!(pace.portion(256), BatchBounds { of_one_lane: 2, in_all: 1 });
        for _ in 0..100 {
            pace.note(10, Duration::from_micros(200));
        }
        assert_eq!(pace.portion(256), BatchBounds { of_one_lane: 250, in_all: 50 });
    }
}
