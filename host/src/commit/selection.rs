//! Which outcomes enter the next transaction: all that wait, as far as the out-of-order maps stay within their limit.
//!
//! What is published must be in the map that is committed with it, or it would be published again after a crash. Outcomes
//! that do not fit wait. Behind them only such may pass as begin at their partition's watermark: no record before those
//! is unpublished, so the order of no lane is broken, and each of them makes room.

use std::collections::{HashMap, VecDeque};

use crate::flow::budget::BudgetShare;
use crate::model::offset_map;
use crate::model::offsets::PartitionProgress;
use crate::model::parcel::{FinishedRun, Parcel};

/// Outcomes that are not committed yet, with their share of the shard's budget.
#[derive(Debug)]
pub(crate) struct PendingOutcomes {
    pub(crate) parcel: Parcel,
    /// Given back once they are committed, or dropped with their lease.
    pub(crate) share: BudgetShare,
}

/// Progress of each lease, by epoch.
pub(crate) type ProgressByEpoch = HashMap<u64, PartitionProgress>;

/// Below so many ranges a map fits whatever they are: two varints of at most ten bytes each.
const ALWAYS_FITS: usize = 140;

/// Takes outcomes from `queue` and notes them in `progress`. Those of other leases than these are dropped.
pub(crate) fn select(queue: &mut VecDeque<PendingOutcomes>, progress: &mut ProgressByEpoch) -> Vec<PendingOutcomes> {
    let mut taken = Vec::with_capacity(queue.len());
    let mut waiting = VecDeque::new();
    while let Some(PendingOutcomes { mut parcel, share }) = queue.pop_front() {
        parcel.retain(|lease| lease.is_alive() && progress.contains_key(&lease.epoch));
        if parcel.is_empty() {
            continue;
        }
        if waiting.is_empty() && enter(progress, &parcel.runs) {
            taken.push(PendingOutcomes { parcel, share });
            continue;
        }
        let lowest = parcel.take_runs(|run| enter_at_watermark(progress, run));
        if !lowest.is_empty() {
            taken.push(PendingOutcomes { parcel: lowest, share: BudgetShare::default() });
        }
        if !parcel.is_empty() {
            waiting.push_back(PendingOutcomes { parcel, share });
        }
    }
    *queue = waiting;
    taken
}

/// Notes all `runs`, or none where a map would not fit.
fn enter(progress: &mut ProgressByEpoch, runs: &[FinishedRun]) -> bool {
    let is_small = |run: &FinishedRun| {
        progress.get(&run.lease.epoch).is_none_or(|progress| progress.range_count() + runs.len() < ALWAYS_FITS)
    };
    if runs.iter().all(is_small) {
        note(progress, runs);
        return true;
    }
    let mut tried: ProgressByEpoch =
        runs.iter().filter_map(|run| Some((run.lease.epoch, progress.get(&run.lease.epoch)?.clone()))).collect();
    note(&mut tried, runs);
    let fits = tried.values().all(offset_map::fits);
    if fits {
        progress.extend(tried);
    }
    fits
}

fn enter_at_watermark(progress: &mut ProgressByEpoch, run: &FinishedRun) -> bool {
    let begins_there = progress.get(&run.lease.epoch).is_some_and(|progress| run.offsets.start <= progress.watermark());
    if begins_there {
        note(progress, std::slice::from_ref(run));
    }
    begins_there
}

fn note(progress: &mut ProgressByEpoch, runs: &[FinishedRun]) {
    for run in runs {
        if let Some(progress) = progress.get_mut(&run.lease.epoch) {
            progress.finish(run.offsets.clone(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::lease::PartitionLease;
    use crate::model::position::TopicPartition;

    fn lease(epoch: u64) -> Arc<PartitionLease> {
        Arc::new(PartitionLease::new(TopicPartition::new("t", epoch as i32), epoch, 0))
    }

    fn pending(lease: &Arc<PartitionLease>, offsets: impl IntoIterator<Item = i64>) -> PendingOutcomes {
        let run = |offset| FinishedRun { lease: lease.clone(), offsets: offset..offset + 1, records: 1 };
        let parcel = Parcel { runs: offsets.into_iter().map(run).collect(), ..Parcel::default() };
        PendingOutcomes { parcel, share: BudgetShare::default() }
    }

    fn offsets(pending: &[PendingOutcomes]) -> Vec<i64> {
        pending.iter().flat_map(|pending| pending.parcel.runs.iter().map(|run| run.offsets.start)).collect()
    }

    #[test]
    fn what_does_not_fit_waits_until_the_stuck_record_is_finished() {
        let lease = lease(1);
        let mut progress: ProgressByEpoch = [(1, PartitionProgress::new(0))].into();
        // Every other record far apart: a map of 3,000 such ranges is too large.
        let mut queue: VecDeque<_> = (1..3000).map(|step| pending(&lease, [step * 1_000_000])).collect();
        let first = select(&mut queue, &mut progress);
        assert!(!first.is_empty() && !queue.is_empty());
        assert!(offset_map::fits(&progress[&1]));
        let waiting = queue.len();
        assert_eq!(select(&mut queue, &mut progress).len(), 0);
        assert_eq!(queue.len(), waiting, "nothing is lost while it waits");
        queue.push_back(pending(&lease, [0]));
        assert_eq!(offsets(&select(&mut queue, &mut progress)), [0]);
    }

    #[test]
    fn outcomes_of_other_leases_are_dropped() {
        let (dead, gone, alive) = (lease(1), lease(2), lease(3));
        dead.kill();
        let mut progress: ProgressByEpoch = [(1, PartitionProgress::new(0)), (3, PartitionProgress::new(0))].into();
        let mut queue = VecDeque::from([pending(&dead, [0]), pending(&gone, [0]), pending(&alive, [0])]);
        assert_eq!(select(&mut queue, &mut progress).len(), 1);
        assert!(queue.is_empty());
    }

    proptest! {
        /// Whatever the order of completion: everything is published once, maps fit, and what passes those that wait
        /// begins at the watermark.
        #[test]
        fn all_is_published_once_and_every_map_fits(
            order in Just((0..1500i64).collect::<Vec<_>>()).prop_shuffle(), at_once in 1..200usize, stuck in 1..40usize,
        ) {
            let lease = lease(1);
            let offset = |index: i64| index * 1_000_000;
            let run = |index: i64| FinishedRun { lease: lease.clone(), offsets: offset(index) - 999_999..offset(index) + 1, records: 1 };
            let mut progress: ProgressByEpoch = [(1, PartitionProgress::new(-999_999))].into();
            let mut queue = VecDeque::new();
            let mut published = Vec::new();
            let (late, early): (Vec<_>, Vec<_>) = order.into_iter().partition(|index| (*index as usize) < stuck);
            for indexes in early.chunks(at_once).chain(late.chunks(1)) {
                let parcel = Parcel { runs: indexes.iter().map(|index| run(*index)).collect(), ..Parcel::default() };
                queue.push_back(PendingOutcomes { parcel, share: BudgetShare::default() });
                published.extend(select(&mut queue, &mut progress).iter().flat_map(|pending| pending.parcel.runs.clone()).map(|run| run.offsets.end));
                prop_assert!(offset_map::fits(&progress[&1]));
            }
            while !queue.is_empty() {
                let taken = select(&mut queue, &mut progress);
                prop_assert!(!taken.is_empty(), "it goes on");
                published.extend(taken.iter().flat_map(|pending| pending.parcel.runs.clone()).map(|run| run.offsets.end));
            }
            published.sort_unstable();
            prop_assert_eq!(published, (0..1500).map(|index| offset(index) + 1).collect::<Vec<_>>());
        }
    }
}
