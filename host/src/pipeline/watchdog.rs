//! Notices partitions that stand still although there is work.
//!
//! A plain state machine: it is told what every partition looks like and when, and says which of them stand still. What
//! follows is the shard's: where records are under way, a person must know what blocks them; where none are, records
//! don't arrive, and a new consumer may get them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::lease::Lease;

/// How long a partition may have work without finishing any.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Default)]
pub struct Watchdog {
    seen: HashMap<u64, Seen>,
}

#[derive(Debug)]
struct Seen {
    watermark: i64,
    /// Since then there has been work and the watermark has not moved.
    since: Instant,
}

/// What stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standstill {
    /// What to tell a person.
    pub reason: String,
    /// Whether nothing is under way: then records don't arrive.
    pub starves: bool,
}

impl Watchdog {
    /// Looks at the partitions as they are at `now`.
    pub fn look(&mut self, leases: &[Arc<Lease>], now: Instant) -> Option<Standstill> {
        self.seen.retain(|epoch, _| leases.iter().any(|lease| lease.epoch == *epoch));
        let mut found: Option<Standstill> = None;
        for lease in leases {
            let watermark = lease.watermark();
            let seen = self.seen.entry(lease.epoch).or_insert(Seen { watermark, since: now });
            if seen.watermark != watermark || lease.end() <= watermark {
                *seen = Seen { watermark, since: now };
            }
            let still = now.duration_since(seen.since);
            if still >= PATIENCE {
                let standstill = tell(lease, still);
                // A partition that starves is mended for all; it comes first.
                if found.as_ref().is_none_or(|found| !found.starves && standstill.starves) {
                    found = Some(standstill);
                }
            }
        }
        found
    }
}

fn tell(lease: &Lease, still: Duration) -> Standstill {
    let (partition, watermark, seconds) = (&lease.partition, lease.watermark(), still.as_secs());
    let lag = lease.end() - watermark;
    let in_flight = lease.in_flight();
    let reason = match in_flight {
        0 => format!(
            "partition {partition} gets no records for {seconds} s although {lag} wait from offset {watermark} on"
        ),
        _ => format!(
            "partition {partition} stands still for {seconds} s: the record at offset {watermark} is not finished, {in_flight} \
             records are under way or wait behind it"
        ),
    };
    Standstill { reason, starves: in_flight == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::TopicPartition;

    fn lease(epoch: u64, end: i64) -> Arc<Lease> {
        let lease = Arc::new(Lease::new(TopicPartition::new("t", 0), epoch, 10));
        lease.raise_end(end);
        lease
    }

    #[test]
    fn work_without_progress_is_noticed_after_a_while_and_only_then() {
        let mut watchdog = Watchdog::default();
        let (leases, start) = ([lease(1, 12)], Instant::now());
        assert_eq!(watchdog.look(&leases, start), None);
        assert_eq!(watchdog.look(&leases, start + PATIENCE / 2), None);
        let found = watchdog.look(&leases, start + PATIENCE).expect("it stands still");
        assert!(found.starves && found.reason.contains("t/0") && found.reason.contains("offset 10"), "{found:?}");
        leases[0].set_watermark(11);
        assert_eq!(watchdog.look(&leases, start + PATIENCE * 2), None, "it moved");
    }

    #[test]
    fn a_partition_without_work_may_stand_still_for_ever() {
        let mut watchdog = Watchdog::default();
        let (leases, start) = ([lease(1, 10)], Instant::now());
        assert_eq!(watchdog.look(&leases, start), None);
        assert_eq!(watchdog.look(&leases, start + PATIENCE * 10), None);
        // The wait begins with the work.
        leases[0].raise_end(11);
        assert_eq!(watchdog.look(&leases, start + PATIENCE * 10), None);
        assert!(watchdog.look(&leases, start + PATIENCE * 11).is_some());
    }

    #[test]
    fn work_under_way_does_not_starve() {
        let mut watchdog = Watchdog::default();
        let (leases, start) = ([lease(1, 20), lease(2, 20)], Instant::now());
        leases[0].take(3);
        assert_eq!(watchdog.look(&leases, start), None);
        assert!(watchdog.look(&leases[..1], start + PATIENCE).is_some_and(|found| !found.starves));
        watchdog.look(&leases, start + PATIENCE);
        assert!(watchdog.look(&leases, start + PATIENCE * 2).is_some_and(|found| found.starves), "the other one does");
    }
}
