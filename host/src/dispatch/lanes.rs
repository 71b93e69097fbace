//! The lanes: who waits for whom. A plain state machine without threads or clocks of its own.
//!
//! A lane exists while it has records that wait, run or are parked, and at most one worker holds it. Records without a
//! lane (`ordering = "none"`, or no key) may be taken by anyone.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::dispatch::pace::BatchBounds;
use crate::model::function::{Ordering, SharedRevision};
use crate::model::work::{BatchPart, ChunkSlice, LaneId, LaneScope, RecordChunk, RecordRef, WorkBatch};

/// All lanes of a shard.
#[derive(Debug)]
pub struct Lanes {
    ordering: Ordering,
    lanes: FxHashMap<LaneId, Lane>,
    /// Lanes that wait for a worker, longest first. A lane that ended since then is skipped.
    ready: VecDeque<LaneId>,
    /// Records that need no lane.
    free: VecDeque<ChunkSlice>,
    free_is_next: bool,
    parked: BinaryHeap<Reverse<(Instant, LaneId)>>,
    waiting_records: usize,
    /// Spans that workers hold, by the epoch of their lease.
    running: FxHashMap<u64, usize>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<ChunkSlice>,
    state: LaneState,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum LaneState {
    #[default]
    Ready,
    Held,
    Parked(Instant),
}

/// What becomes of a part of a batch when its worker is done with it.
#[derive(Debug)]
pub(crate) enum BatchEnd {
    Finished,
    /// The first of these waits for its next attempt until then; the others stay behind it.
    Parked(Vec<ChunkSlice>, Instant),
}

/// What a record waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneWait {
    Turn,
    /// This attempt of so many, at that time.
    Retry {
        /// The number of the attempt.
        attempt: u32,
        /// How many there are in all.
        max_attempts: u32,
        until: Instant,
    },
}

impl Lanes {
    pub fn new(ordering: Ordering) -> Self {
        Self {
            ordering,
            lanes: FxHashMap::default(),
            ready: VecDeque::new(),
            free: VecDeque::new(),
            free_is_next: false,
            parked: BinaryHeap::new(),
            waiting_records: 0,
            running: FxHashMap::default(),
        }
    }

    pub(crate) fn push(&mut self, chunk: RecordChunk) {
        let chunk = Arc::new(chunk);
        chunk.lease.under_way.note(&chunk, chunk.lease.watermark());
        self.waiting_records += chunk.records.len();
        let epoch = chunk.lease.epoch;
        match self.ordering {
            Ordering::None => self.free.push_back(ChunkSlice::whole(chunk)),
            Ordering::Partition => self.queue(LaneId { epoch, scope: LaneScope::Partition }, ChunkSlice::whole(chunk)),
            Ordering::Key => self.push_by_key(&chunk),
        }
    }

    /// Runs of records with the same key stay together.
    fn push_by_key(&mut self, chunk: &Arc<RecordChunk>) {
        let epoch = chunk.lease.epoch;
        let mut start = 0;
        for run in chunk.records.chunk_by(|one, next| one.key_hash == next.key_hash) {
            let end = start + run.len() as u32;
            let span = ChunkSlice::part(chunk.clone(), start..end);
            match run[0].key_hash {
                Some(key) => self.queue(LaneId { epoch, scope: LaneScope::Key(key) }, span),
                None => self.free.push_back(span),
            }
            start = end;
        }
    }

    fn queue(&mut self, id: LaneId, span: ChunkSlice) {
        let lane = self.lanes.entry(id).or_default();
        if lane.waiting.is_empty() && lane.state == LaneState::Ready {
            self.ready.push_back(id);
        }
        lane.waiting.push_back(span);
    }

    /// Records that wait for a worker or for their retry.
    pub(crate) fn waiting_records(&self) -> usize {
        self.waiting_records
    }

    /// Whether a worker would find something.
    pub(crate) fn has_work(&self) -> bool {
        !self.free.is_empty() || !self.ready.is_empty()
    }

    /// Gives the lane that waited longest, and more of them while `portion` allows. All of one revision.
    pub(crate) fn take(&mut self, portion: BatchBounds) -> Option<WorkBatch> {
        let mut batch = WorkBatch::default();
        let mut revision: Option<SharedRevision> = None;
        loop {
            let room =
                if batch.parts.is_empty() { portion.of_one_lane } else { portion.in_all.saturating_sub(batch.records) };
            if room == 0 || !self.take_one(room, &mut batch, &mut revision) {
                break;
            }
        }
        if batch.parts.is_empty() {
            return None;
        }
        self.waiting_records -= batch.records;
        for part in &batch.parts {
            *self.running.entry(part.span.chunk.lease.epoch).or_default() += 1;
        }
        Some(batch)
    }

    fn take_one(&mut self, room: usize, batch: &mut WorkBatch, revision: &mut Option<SharedRevision>) -> bool {
        self.free_is_next = !self.free_is_next;
        if self.free_is_next && self.take_free(room, batch, revision) {
            return true;
        }
        self.take_lane(room, batch, revision) || self.take_free(room, batch, revision)
    }

    fn take_free(&mut self, room: usize, batch: &mut WorkBatch, revision: &mut Option<SharedRevision>) -> bool {
        if !self.free.front().is_some_and(|front| fits(revision, front)) {
            return false;
        }
        let Some(span) = take_front(&mut self.free, room) else { return false };
        batch.records += span.len();
        batch.parts.push(BatchPart { lane: None, span });
        true
    }

    fn take_lane(&mut self, room: usize, batch: &mut WorkBatch, revision: &mut Option<SharedRevision>) -> bool {
        while let Some(&id) = self.ready.front() {
            let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.state == LaneState::Ready) else {
                self.ready.pop_front();
                continue;
            };
            let Some(front) = lane.waiting.front() else {
                self.ready.pop_front();
                continue;
            };
            if !fits(revision, front) {
                return false;
            }
            self.ready.pop_front();
            lane.state = LaneState::Held;
            let mut left = room;
            while left > 0
                && let Some(front) = lane.waiting.front()
                && fits(revision, front)
                && let Some(span) = take_front(&mut lane.waiting, left)
            {
                left -= span.len();
                batch.records += span.len();
                batch.parts.push(BatchPart { lane: Some(id), span });
            }
            return true;
        }
        false
    }

    /// Gives back what a worker took: once for each lane of its batch, and once for each part without one.
    /// `spans` is how many spans of the batch that were.
    pub(crate) fn settle(&mut self, lane: Option<LaneId>, epoch: u64, spans: usize, settled: BatchEnd) {
        if let Some(running) = self.running.get_mut(&epoch) {
            *running = running.saturating_sub(spans);
            if *running == 0 {
                self.running.remove(&epoch);
            }
        }
        match (lane, settled) {
            (None, BatchEnd::Finished) => {}
            (None, BatchEnd::Parked(spans, until)) => {
                for span in spans {
                    let offset = span.chunk.records[span.records.start as usize].offset;
                    self.park(LaneId { epoch, scope: LaneScope::Record(offset) }, vec![span], until);
                }
            }
            (Some(id), BatchEnd::Finished) => {
                let Some(lane) = self.lanes.get_mut(&id) else { return };
                if lane.waiting.is_empty() {
                    self.lanes.remove(&id);
                } else {
                    lane.state = LaneState::Ready;
                    self.ready.push_back(id);
                }
            }
            (Some(id), BatchEnd::Parked(spans, until)) => {
                // A lane that was dropped with its lease is not brought back.
                if self.lanes.contains_key(&id) {
                    self.park(id, spans, until);
                }
            }
        }
    }

    fn park(&mut self, id: LaneId, spans: Vec<ChunkSlice>, until: Instant) {
        let lane = self.lanes.entry(id).or_default();
        lane.state = LaneState::Parked(until);
        for span in spans.into_iter().rev() {
            self.waiting_records += span.len();
            lane.waiting.push_front(span);
        }
        self.parked.push(Reverse((until, id)));
    }

    /// Makes lanes ready whose wait is over.
    pub(crate) fn wake(&mut self, now: Instant) {
        while let Some(&Reverse((until, id))) = self.parked.peek()
            && until <= now
        {
            self.parked.pop();
            if let Some(lane) = self.lanes.get_mut(&id)
                && matches!(lane.state, LaneState::Parked(_))
            {
                lane.state = LaneState::Ready;
                self.ready.push_back(id);
            }
        }
    }

    /// When the next parked lane is to be woken.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.parked.peek().map(|Reverse((until, _))| *until)
    }

    /// What `record` waits for; nothing when no record that waits is this one.
    pub(crate) fn wait_of(&self, record: &RecordRef) -> Option<LaneWait> {
        let (epoch, wanted) = (record.chunk.lease.epoch, record.record());
        let alone = LaneScope::Record(wanted.offset);
        let scope = match (self.ordering, wanted.key_hash) {
            (Ordering::Partition, _) => LaneScope::Partition,
            (Ordering::Key, Some(key)) => LaneScope::Key(key),
            _ => alone,
        };
        let is_it =
            |span: &&ChunkSlice| Arc::ptr_eq(&span.chunk, &record.chunk) && span.records.contains(&record.index);
        let Some(lane) = self.lanes.get(&LaneId { epoch, scope }) else {
            return self.free.iter().any(|span| is_it(&span)).then_some(LaneWait::Turn);
        };
        let span = lane.waiting.iter().find(is_it)?;
        Some(match lane.state {
            LaneState::Parked(until) => {
                let max_attempts = span.revision.manifest.retry.max_attempts;
                LaneWait::Retry { attempt: span.attempt, max_attempts, until }
            }
            LaneState::Ready | LaneState::Held => LaneWait::Turn,
        })
    }

    /// Drops all that waits under a lease; what runs continues.
    pub(crate) fn drop_lease(&mut self, epoch: u64) {
        let mut dropped = 0;
        self.lanes.retain(|id, lane| {
            let stays = id.epoch != epoch;
            if !stays {
                dropped += lane.waiting.iter().map(ChunkSlice::len).sum::<usize>();
            }
            stays
        });
        self.free.retain(|span| {
            let stays = span.chunk.lease.epoch != epoch;
            if !stays {
                dropped += span.len();
            }
            stays
        });
        self.waiting_records -= dropped;
    }

    /// Whether a worker holds records of this lease.
    pub(crate) fn is_running(&self, epoch: u64) -> bool {
        self.running.contains_key(&epoch)
    }
}

/// Whether `span` may join a batch of `revision`; the first span decides it.
fn fits(revision: &mut Option<SharedRevision>, span: &ChunkSlice) -> bool {
    let revision = revision.get_or_insert_with(|| span.revision.clone());
    Arc::ptr_eq(revision, &span.revision)
}

/// The first `most` records of the first span; nothing when there is no span.
fn take_front(spans: &mut VecDeque<ChunkSlice>, most: usize) -> Option<ChunkSlice> {
    match spans.front_mut() {
        Some(front) if front.len() > most => Some(front.split_off_front(most)),
        _ => spans.pop_front(),
    }
}

#[cfg(test)]
mod tests;
