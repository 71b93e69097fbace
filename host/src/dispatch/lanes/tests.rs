//! The properties of lanes: nothing lost, nothing twice, one at a time and in order within a lane.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::dispatch::lanes::*;
use crate::model::function::tests_support::revision;
use crate::model::lease::PartitionLease;
use crate::model::position::TopicPartition;
use crate::model::work::ChunkRecord;

const ALL: BatchBounds = BatchBounds { of_one_lane: 256, in_all: 256 };

fn chunk(
    lease: &Arc<PartitionLease>,
    revision: &SharedRevision,
    first_offset: i64,
    keys: &[Option<u64>],
) -> RecordChunk {
    let record = |(index, key): (usize, &Option<u64>)| {
        let offset = first_offset + index as i64;
        ChunkRecord {
            from: offset,
            offset,
            flat: 0..0,
            original_value: None,
            original_headers: None,
            key_hash: *key,
            undecodable: None,
        }
    };
    let records = keys.iter().enumerate().map(record).collect();
    RecordChunk { lease: lease.clone(), revision: revision.clone(), arena: Vec::new(), records }
}

fn lease(epoch: u64) -> Arc<PartitionLease> {
    Arc::new(PartitionLease::new(TopicPartition::new("t", epoch as i32), epoch, 0))
}

fn offsets(batch: &WorkBatch) -> Vec<i64> {
    let each =
        batch.parts.iter().flat_map(|part| part.span.each().map(|record| record.record().offset).collect::<Vec<_>>());
    each.collect()
}

fn finish(lanes: &mut Lanes, batch: &WorkBatch) {
    for (lane, epoch, spans) in by_lane(batch) {
        lanes.settle(lane, epoch, spans, BatchEnd::Finished);
    }
}

fn by_lane(batch: &WorkBatch) -> Vec<(Option<LaneId>, u64, usize)> {
    let mut lanes: Vec<(Option<LaneId>, u64, usize)> = Vec::new();
    for part in &batch.parts {
        let epoch = part.span.chunk.lease.epoch;
        match lanes.iter_mut().find(|(lane, ..)| part.lane.is_some() && *lane == part.lane) {
            Some((_, _, spans)) => *spans += 1,
            None => lanes.push((part.lane, epoch, 1)),
        }
    }
    lanes
}

#[test]
fn a_partition_is_one_lane() {
    let (lease, revision) = (lease(1), revision());
    let mut lanes = Lanes::new(Ordering::Partition);
    lanes.push(chunk(&lease, &revision, 0, &[None, Some(1)]));
    lanes.push(chunk(&lease, &revision, 2, &[Some(2)]));
    let batch = lanes.take(BatchBounds { of_one_lane: 1, in_all: 1 }).expect("there is work");
    assert_eq!(offsets(&batch), [0]);
    assert!(lanes.take(ALL).is_none(), "the lane is held");
    finish(&mut lanes, &batch);
    assert_eq!(offsets(&lanes.take(ALL).expect("the rest")), [1, 2]);
}

#[test]
fn keys_run_side_by_side_and_records_without_one_are_free() {
    let (lease, revision) = (lease(1), revision());
    let mut lanes = Lanes::new(Ordering::Key);
    lanes.push(chunk(&lease, &revision, 0, &[Some(1), Some(2), Some(1), None]));
    let one = BatchBounds { of_one_lane: 1, in_all: 1 };
    let mut held: Vec<i64> = std::iter::from_fn(|| lanes.take(one)).flat_map(|batch| offsets(&batch)).collect();
    held.sort_unstable();
    assert_eq!(held, [0, 1, 3], "the second record of key 1 waits for the first");
}

#[test]
fn a_parked_record_holds_up_its_lane_only() {
    let (lease, revision) = (lease(1), revision());
    let mut lanes = Lanes::new(Ordering::Key);
    lanes.push(chunk(&lease, &revision, 0, &[Some(1), Some(1), Some(2)]));
    let batch = lanes.take(BatchBounds { of_one_lane: 1, in_all: 1 }).expect("there is work");
    let later = Instant::now() + Duration::from_secs(3600);
    let spans = batch.parts.iter().map(|part| part.span.clone()).collect();
    lanes.settle(batch.parts[0].lane, 1, 1, BatchEnd::Parked(spans, later));
    assert_eq!(offsets(&lanes.take(ALL).expect("the other key")), [2]);
    assert!(lanes.take(ALL).is_none());
    assert_eq!(lanes.next_wake(), Some(later));
    lanes.wake(later);
    assert_eq!(offsets(&lanes.take(ALL).expect("its wait is over")), [0, 1]);
}

#[test]
fn a_batch_holds_one_revision() {
    let (lease, old, new) = (lease(1), revision(), revision());
    let mut lanes = Lanes::new(Ordering::Partition);
    lanes.push(chunk(&lease, &old, 0, &[None, None]));
    lanes.push(chunk(&lease, &new, 2, &[None]));
    let batch = lanes.take(ALL).expect("there is work");
    assert_eq!(offsets(&batch), [0, 1]);
    finish(&mut lanes, &batch);
    assert_eq!(offsets(&lanes.take(ALL).expect("the new one")), [2]);
}

#[test]
fn a_dropped_lease_leaves_nothing_behind() {
    let (first, second, revision) = (lease(1), lease(2), revision());
    for ordering in [Ordering::None, Ordering::Partition, Ordering::Key] {
        let mut lanes = Lanes::new(ordering);
        lanes.push(chunk(&first, &revision, 0, &[Some(1), None]));
        let held = lanes.take(BatchBounds { of_one_lane: 1, in_all: 1 }).expect("there is work");
        lanes.push(chunk(&second, &revision, 0, &[Some(1)]));
        lanes.drop_lease(1);
        assert!(lanes.is_running(1));
        let spans = held.parts.iter().map(|part| part.span.clone()).collect();
        lanes.settle(held.parts[0].lane, 1, 1, BatchEnd::Parked(spans, Instant::now()));
        assert!(!lanes.is_running(1));
        lanes.drop_lease(1);
        lanes.wake(Instant::now());
        let rest: Vec<_> = std::iter::from_fn(|| lanes.take(ALL)).collect();
        assert!(rest.iter().all(|batch| batch.parts[0].span.chunk.lease.epoch == 2), "{ordering:?}");
        assert_eq!(rest.len(), 1);
        assert_eq!(lanes.waiting_records(), 0);
    }
}

proptest! {
    /// Workers take, finish or park in any interleaving: each record finishes once, and in order within its lane.
    #[test]
    fn order_within_a_lane_is_kept(
        keys in prop::collection::vec(prop::option::weighted(0.9, 0..5u64), 1..80),
        chunk_size in 1..20usize,
        choices in prop::collection::vec((0..4usize, 1..6usize, any::<bool>()), 400),
        ordering in prop_oneof![Just(Ordering::None), Just(Ordering::Partition), Just(Ordering::Key)],
    ) {
        let (lease, revision) = (lease(1), revision());
        let mut lanes = Lanes::new(ordering);
        let mut held: Vec<WorkBatch> = Vec::new();
        let mut finished: Vec<i64> = Vec::new();
        let mut chunks = keys.chunks(chunk_size).enumerate();
        for (action, size, park) in choices {
            match action {
                0 => if let Some((index, keys)) = chunks.next() {
                    lanes.push(chunk(&lease, &revision, (index * chunk_size) as i64, keys));
                },
                1 | 2 => if let Some(batch) = lanes.take(BatchBounds { of_one_lane: size, in_all: size }) {
                    prop_assert!(batch.records <= size);
                    held.push(batch);
                },
                _ => if !held.is_empty() {
                    let batch = held.remove(size % held.len());
                    for (lane, epoch, spans) in by_lane(&batch) {
                        let own: Vec<_> = batch.parts.iter().filter(|part| part.lane == lane).map(|part| part.span.clone()).collect();
                        if park && lane.is_some() {
                            lanes.settle(lane, epoch, spans, BatchEnd::Parked(own, Instant::now()));
                        } else if lane.is_some() {
                            finished.extend(own.iter().flat_map(|span| span.each().map(|record| record.record().offset).collect::<Vec<_>>()));
                            lanes.settle(lane, epoch, spans, BatchEnd::Finished);
                        }
                    }
                    for part in batch.parts.iter().filter(|part| part.lane.is_none()) {
                        finished.extend(part.span.each().map(|record| record.record().offset));
                    }
                    lanes.wake(Instant::now());
                },
            }
        }
        for (index, keys) in chunks {
            lanes.push(chunk(&lease, &revision, (index * chunk_size) as i64, keys));
        }
        for batch in held {
            finished.extend(offsets(&batch));
            finish(&mut lanes, &batch);
        }
        lanes.wake(Instant::now());
        while let Some(batch) = lanes.take(ALL) {
            finished.extend(offsets(&batch));
            finish(&mut lanes, &batch);
        }
        prop_assert_eq!(lanes.waiting_records(), 0);
        let mut by_scope: HashMap<Option<u64>, Vec<i64>> = HashMap::new();
        for &offset in &finished {
            let scope = match ordering {
                Ordering::None => continue,
                Ordering::Partition => Some(0),
                Ordering::Key => keys[offset as usize],
            };
            by_scope.entry(scope).or_default().push(offset);
        }
        for (scope, offsets) in by_scope {
            prop_assert!(scope.is_none() || offsets.is_sorted(), "{:?}: {:?}", scope, offsets);
        }
        finished.sort_unstable();
        prop_assert_eq!(finished, (0..keys.len() as i64).collect::<Vec<_>>());
    }
}
