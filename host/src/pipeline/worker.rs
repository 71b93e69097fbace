//! A worker: takes a batch, makes the attempts, hands what they lead to to the committer, lets the lanes go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_flat::Emissions;
use tokio::sync::mpsc;

use crate::commit::committer::CommitCommand;
use crate::dispatch::board::Board;
use crate::dispatch::lanes::BatchEnd;
use crate::execute::attempts::{AttemptRun, AttemptSink, NextStep};
use crate::execute::revisions::{CallableRevision, CallableRevisions};
use crate::execute::work::WorkOrigin;
use crate::flow::budget::ByteBudget;
use crate::invoke::call::RecordAttempt;
use crate::model::outcome::GuestFault;
use crate::model::parcel::Parcel;
use crate::model::work::{BatchPart, ChunkSlice, LaneId, WorkBatch};
use crate::telemetry::function_metrics::FunctionMetrics;

/// What every worker of a shard shares.
#[derive(Debug, Clone)]
pub(crate) struct ShardWorker {
    pub(crate) board: Arc<Board>,
    pub(crate) revisions: CallableRevisions,
    /// What finished outcomes may hold.
    pub(crate) pending: ByteBudget,
    pub(crate) committer: mpsc::UnboundedSender<CommitCommand>,
    pub(crate) metrics: Arc<FunctionMetrics>,
}

impl ShardWorker {
    /// Works until the task is aborted.
    pub(crate) async fn run(self) {
        loop {
            let batch = self.board.next().await;
            self.handle(batch).await;
        }
    }

    async fn handle(&self, batch: WorkBatch) {
        let Some(first) = batch.parts.first() else { return };
        let callable = self.revisions.get(first.span.revision.number);
        let run = AttemptRun::new(&callable, WorkOrigin::Consumer);
        let mut attempts = Vec::with_capacity(batch.records);
        let mut part_of = Vec::with_capacity(batch.records);
        for (part, item) in batch.parts.iter().enumerate() {
            for record in item.span.each() {
                attempts.push(run.begin(record, item.span.attempt));
                part_of.push(part as u32);
            }
        }
        let mut outcome = BatchOutcome {
            worker: self,
            callable: &callable,
            batch: &batch,
            attempts: &attempts,
            part_of: &part_of,
            // Most functions emit about as much as they take.
            parcel: Parcel::with_room_for(
                attempts.len(),
                attempts.iter().map(|attempt| attempt.record.flat().len()).sum(),
            ),
            parked: Vec::new(),
            succeeded: 0,
        };
        let spent = run.run(&attempts, &mut outcome).await;
        self.board.pace.note(spent.records, spent.elapsed);
        outcome.queue_behind_parked();
        let BatchOutcome { mut parcel, mut parked, succeeded, .. } = outcome;
        parcel.close();
        self.metrics.succeeded.inc_by(succeeded);
        if !parcel.is_empty() {
            let share = self.pending.take(parcel.bytes()).await;
            // The committer outlives the workers.
            let _ = self.committer.send(CommitCommand::Publish(parcel, share));
        }
        // Only now: what a lane emits next must come after this.
        let mut index = 0;
        while let Some(part) = batch.parts.get(index) {
            let same_lane = |next: &&BatchPart| part.lane.is_some() && next.lane == part.lane;
            let parts = batch.parts[index..].iter().take_while(same_lane).count().max(1);
            let epoch = part.span.chunk.lease.epoch;
            let is_parked = |parked: &ParkedLane| parked.parts.contains(&index);
            let parked = parked.iter().position(is_parked).map(|found| parked.swap_remove(found));
            match parked.filter(|_| part.span.chunk.lease.is_alive()) {
                Some(parked) => {
                    self.board.settle(part.lane, epoch, parts, BatchEnd::Parked(parked.spans, parked.until))
                }
                None => self.board.settle(part.lane, epoch, parts, BatchEnd::Finished),
            }
            index += parts;
        }
    }
}

/// A lane, or a part without one, that waits for a retry.
struct ParkedLane {
    lane: Option<LaneId>,
    /// The parts of the batch up to the one that waits.
    parts: std::ops::Range<usize>,
    /// The last record that failed, among the attempts.
    last_failed: usize,
    until: Instant,
    spans: Vec<ChunkSlice>,
}

/// What one batch led to: messages, finished offsets and lanes that wait for a retry.
struct BatchOutcome<'a> {
    worker: &'a ShardWorker,
    callable: &'a CallableRevision,
    batch: &'a WorkBatch,
    attempts: &'a [RecordAttempt],
    part_of: &'a [u32],
    parcel: Parcel,
    parked: Vec<ParkedLane>,
    succeeded: u64,
}

impl BatchOutcome<'_> {
    /// The order scope of the record at `index` that waits, when it does.
    fn parked_with(&self, index: usize) -> Option<usize> {
        let lane = self.batch.parts[self.part_of[index] as usize].lane?;
        self.parked.iter().position(|parked| parked.lane == Some(lane))
    }

    /// Lets the record at `index`, and those of its lane behind it, wait for the next attempt.
    fn park(&mut self, index: usize, wait: Duration) {
        let part = self.part_of[index] as usize;
        let lane = self.batch.parts[part].lane;
        let parts = match lane {
            Some(_) => {
                let first = self.batch.parts.iter().position(|item| item.lane == lane).unwrap_or(part);
                first..part + 1
            }
            None => part..part + 1,
        };
        let mut span = self.span_of(index);
        span.attempt += 1;
        // The next attempt is the live revision's: so that a fix fixes.
        span.revision = self.worker.revisions.live().revision.clone();
        let until = Instant::now() + wait;
        match self.parked.iter_mut().find(|parked| lane.is_none() && parked.parts == parts) {
            // A part without a lane may hold several records; each waits for itself, until the latest of them.
            Some(parked) => {
                parked.until = parked.until.max(until);
                parked.last_failed = index;
                parked.spans.push(span);
            }
            None => self.parked.push(ParkedLane { lane, parts, last_failed: index, until, spans: vec![span] }),
        }
    }

    /// The records of a lane after the one that waits were held up: they wait behind it, on the attempt they are on.
    fn queue_behind_parked(&mut self) {
        let mut parked = std::mem::take(&mut self.parked);
        for parked in parked.iter_mut().filter(|parked| parked.lane.is_some()) {
            let is_behind = |index: &usize| self.batch.parts[self.part_of[*index] as usize].lane == parked.lane;
            let behind = (parked.last_failed + 1..self.attempts.len()).filter(is_behind);
            parked.spans.extend(behind.map(|index| self.span_of(index)));
        }
        self.parked = parked;
    }

    fn span_of(&self, index: usize) -> ChunkSlice {
        let record = &self.attempts[index].record;
        let whole = &self.batch.parts[self.part_of[index] as usize].span;
        ChunkSlice { records: record.index..record.index + 1, ..whole.clone() }
    }
}

impl AttemptSink for BatchOutcome<'_> {
    fn is_held_up(&self, index: usize) -> bool {
        self.parked_with(index).is_some()
    }

    #[inline]
    fn parcel(&mut self, _index: usize) -> &mut Parcel {
        &mut self.parcel
    }

    #[inline]
    fn emitted(&mut self, index: usize, _emissions: &Emissions<'_>) -> Result<(), GuestFault> {
        self.succeeded += 1;
        self.parcel.finish(&self.attempts[index].record);
        Ok(())
    }

    fn failed(&mut self, index: usize, fault: GuestFault, next: NextStep) {
        self.worker.metrics.count_fault(fault.class);
        let attempt = &self.attempts[index];
        match next {
            NextStep::End => {
                tracing::debug!(function = self.callable.encoder.stamp(), class = %fault.class,
                    partition = %attempt.record.chunk.lease.partition, offset = attempt.record.record().offset,
                    attempts = attempt.number, error = %fault.message, "record dead-lettered");
                self.parcel.finish(&attempt.record);
            }
            NextStep::Retry(wait) => {
                self.worker.metrics.retried.inc();
                self.park(index, wait);
            }
        }
    }
}
