//! What functions use: counted call by call, kept by the minute and by the hour, for one's own accounting.
//!
//! A call of the guest adds to six counters, and so does a batch of many records; nothing is done for a record. Every few
//! seconds the counters are emptied into the [`history`], which is bounded and survives a restart ([`journal`]).

pub(crate) mod history;
mod journal;
mod recorder;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use recorder::UsageRecorder;

/// A page of linear memory.
const PAGE: u64 = 64 * 1024;
const NANOS: f64 = 1e9;

/// What a function used, counted by those who call it.
#[derive(Debug, Default)]
pub(crate) struct UsageCounters {
    since_start: UsageCounts,
    /// What of that was taken.
    taken: UsageCounts,
}

#[derive(Debug, Default)]
struct UsageCounts {
    invocations: AtomicU64,
    calls: AtomicU64,
    wall_ns: AtomicU64,
    cpu_ns: AtomicU64,
    page_us: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// An amount of everything that is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UsageAmounts {
    /// Records that were handed to the guest, each attempt for itself.
    pub(crate) invocations: u64,
    /// Calls of the guest, which may hold many records.
    pub(crate) calls: u64,
    /// Nanoseconds of calls.
    pub(crate) wall_ns: u64,
    /// Nanoseconds in which the guest had a processor.
    pub(crate) cpu_ns: u64,
    /// Pages of memory times microseconds of calls.
    pub(crate) page_us: u64,
    /// Bytes handed to the guest.
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl UsageCounters {
    /// Counts a call that held `records` records, of an instance with `memory` bytes. `cpu` is how much of `wall` the guest
    /// did not wait.
    pub(crate) fn count(
        &self,
        records: u64,
        memory: u64,
        wall: Duration,
        cpu: Duration,
        bytes_in: u64,
        bytes_out: u64,
    ) {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let counts = &self.since_start;
        counts.invocations.fetch_add(records, Relaxed);
        counts.calls.fetch_add(1, Relaxed);
        counts.wall_ns.fetch_add(nanoseconds(wall), Relaxed);
        counts.cpu_ns.fetch_add(nanoseconds(cpu), Relaxed);
        counts.page_us.fetch_add((memory.div_ceil(PAGE)).saturating_mul(nanoseconds(wall)) / 1000, Relaxed);
        counts.bytes_in.fetch_add(bytes_in, Relaxed);
        counts.bytes_out.fetch_add(bytes_out, Relaxed);
    }

    pub(crate) fn amounts(&self) -> UsageAmounts {
        self.since_start.read()
    }

    /// What came since the last time. One at a time may ask.
    pub(crate) fn take(&self) -> UsageAmounts {
        let (all, taken) = (self.since_start.read(), self.taken.read());
        self.taken.set(&all);
        all.less(&taken)
    }
}

impl UsageCounts {
    fn read(&self) -> UsageAmounts {
        UsageAmounts {
            invocations: self.invocations.load(Relaxed),
            calls: self.calls.load(Relaxed),
            wall_ns: self.wall_ns.load(Relaxed),
            cpu_ns: self.cpu_ns.load(Relaxed),
            page_us: self.page_us.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }

    fn set(&self, amounts: &UsageAmounts) {
        let UsageAmounts { invocations, calls, wall_ns, cpu_ns, page_us, bytes_in, bytes_out } = *amounts;
        self.invocations.store(invocations, Relaxed);
        self.calls.store(calls, Relaxed);
        self.wall_ns.store(wall_ns, Relaxed);
        self.cpu_ns.store(cpu_ns, Relaxed);
        self.page_us.store(page_us, Relaxed);
        self.bytes_in.store(bytes_in, Relaxed);
        self.bytes_out.store(bytes_out, Relaxed);
    }
}

impl UsageAmounts {
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    fn less(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn with(&self, other: &Self, join: fn(u64, u64) -> u64) -> Self {
        Self {
            invocations: join(self.invocations, other.invocations),
            calls: join(self.calls, other.calls),
            wall_ns: join(self.wall_ns, other.wall_ns),
            cpu_ns: join(self.cpu_ns, other.cpu_ns),
            page_us: join(self.page_us, other.page_us),
            bytes_in: join(self.bytes_in, other.bytes_in),
            bytes_out: join(self.bytes_out, other.bytes_out),
        }
    }

    /// Seconds in which the guest had a processor.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.cpu_ns as f64 / NANOS
    }

    pub(crate) fn wall_seconds(&self) -> f64 {
        self.wall_ns as f64 / NANOS
    }

    /// Memory times the time of calls, in gigabytes (10⁹ bytes) times seconds.
    pub(crate) fn gigabyte_seconds(&self) -> f64 {
        self.page_us as f64 * PAGE as f64 / 1e6 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_taken_again() {
        let counters = UsageCounters::default();
        let second = Duration::from_secs(1);
        counters.count(3, 2 * PAGE, second, second / 2, 10, 20);
        let first = counters.take();
        assert_eq!((first.invocations, first.calls, first.bytes_in, first.bytes_out), (3, 1, 10, 20));
        assert_eq!((first.wall_seconds(), first.cpu_seconds()), (1.0, 0.5));
        assert!((first.gigabyte_seconds() - 0.000_131_072).abs() < 1e-12);
        assert!(counters.take().is_zero());
        counters.count(1, 0, second, second, 0, 0);
        assert_eq!(counters.take().invocations, 1);
        assert_eq!(counters.amounts().invocations, 4);
    }
}
