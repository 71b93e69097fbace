//! Instances that ran out of memory in a later call than their first: how many, and after how many calls.

use std::sync::atomic::{AtomicU64, Ordering};

/// From so many on it is not an accident.
const OFTEN: u64 = 3;
/// An instance that serves more calls than this costs little to replace.
const MOST_CALLS: u64 = 10_000;

#[derive(Debug, Default)]
pub(crate) struct RecyclingCount {
    instances: AtomicU64,
    /// The calls that they served before, in all.
    calls: AtomicU64,
}

impl RecyclingCount {
    /// Notes an instance that had served so many calls.
    pub(crate) fn note(&self, calls: u64) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
        self.instances.fetch_add(1, Ordering::Relaxed);
    }

    /// After how many calls an instance runs out of memory on average, where that happens often.
    pub(crate) fn often_after(&self) -> Option<u64> {
        let instances = self.instances.load(Ordering::Relaxed);
        let calls = self.calls.load(Ordering::Relaxed).checked_div(instances)?;
        (instances >= OFTEN && calls <= MOST_CALLS).then_some(calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_often_from_the_third_on_unless_they_last_long() {
        let count = RecyclingCount::default();
        assert_eq!(count.often_after(), None);
        [10, 20].into_iter().for_each(|calls| count.note(calls));
        assert_eq!(count.often_after(), None);
        count.note(15);
        assert_eq!(count.often_after(), Some(15));
        count.note(1_000_000);
        assert_eq!(count.often_after(), None);
    }
}
