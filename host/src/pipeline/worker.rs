//! A worker: takes a batch, has it invoked, encodes the outcomes, hands them to the committer, lets the lanes go.

use std::sync::Arc;
use std::time::Instant;

use millstream_flat::Emissions;
use tokio::sync::mpsc;

use crate::commit::committer::CommitCommand;
use crate::dispatch::board::Board;
use crate::dispatch::lanes::BatchEnd;
use crate::dispatch::retry::{self, RetryDecision};
use crate::execute::revisions::{CallableRevision, CallableRevisions};
use crate::flow::budget::ByteBudget;
use crate::invoke::call::{OutcomeSink, RecordAttempt};
use crate::model::outcome::{CallTime, GuestFault};
use crate::model::parcel::Parcel;
use crate::model::work::{ChunkSlice, LaneId, WorkBatch};
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::telemetry::otlp::{FinishedSpan, SpanOutcome, SpanTrigger};

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
        let mut attempts = Vec::with_capacity(batch.records);
        let mut part_of = Vec::with_capacity(batch.records);
        for (part, item) in batch.parts.iter().enumerate() {
            for record in item.span.each() {
                let traced = callable.tracer.begin(&record);
                attempts.push(RecordAttempt { record, number: item.span.attempt, traced });
                part_of.push(part as u32);
            }
        }
        let mut desk = BatchOutcome {
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
            call: CallTime::none(),
        };
        let spent = callable.invoker.run(&attempts, &mut desk).await;
        self.board.pace.note(spent.records, spent.elapsed);
        desk.queue_behind_parked();
        let BatchOutcome { mut parcel, mut parked, succeeded, .. } = desk;
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
            let same_lane = |next: &&crate::model::work::BatchPart| part.lane.is_some() && next.lane == part.lane;
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

/// Where the verdicts of one batch are turned into messages, finished offsets and retries.
struct BatchOutcome<'a> {
    worker: &'a ShardWorker,
    callable: &'a Arc<CallableRevision>,
    batch: &'a WorkBatch,
    attempts: &'a [RecordAttempt],
    part_of: &'a [u32],
    parcel: Parcel,
    parked: Vec<ParkedLane>,
    succeeded: u64,
    /// The call whose verdicts are heard.
    call: CallTime,
}

impl BatchOutcome<'_> {
    /// The order scope of the record at `index` that waits, when it does.
    fn parked_with(&self, index: usize) -> Option<usize> {
        let lane = self.batch.parts[self.part_of[index] as usize].lane?;
        self.parked.iter().position(|parked| parked.lane == Some(lane))
    }

    /// Says what follows of a failed attempt.
    fn failed<'f>(&mut self, index: usize, fault: &'f GuestFault) -> SpanOutcome<'f> {
        self.worker.metrics.count_fault(fault.class);
        let attempt = &self.attempts[index];
        let manifest = &self.callable.revision.manifest;
        match retry::decide(&manifest.retry, attempt.number, fault) {
            RetryDecision::GiveUp => {
                tracing::debug!(function = self.callable.encoder.stamp(), class = %fault.class,
                    partition = %attempt.record.chunk.lease.partition, offset = attempt.record.record().offset,
                    attempts = attempt.number, error = %fault.message, "record given up");
                self.callable.encoder.dead_letter(&mut self.parcel, &attempt.record, fault, attempt.number);
                self.parcel.finish(&attempt.record);
                SpanOutcome::GivenUp(fault)
            }
            RetryDecision::Again(wait) => {
                self.worker.metrics.retried.inc();
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
                SpanOutcome::Retried(fault)
            }
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

impl OutcomeSink for BatchOutcome<'_> {
    fn is_held_up(&self, index: usize) -> bool {
        self.parked_with(index).is_some()
    }

    fn called(&mut self, call: CallTime) {
        self.call = call;
    }

    fn hear(&mut self, index: usize, verdict: Result<Emissions<'_>, GuestFault>) {
        let attempts = self.attempts;
        let attempt = &attempts[index];
        let RecordAttempt { record, number, traced } = attempt;
        let encoder = &self.callable.encoder;
        let encoded = verdict
            .and_then(|emissions| encoder.emitted(&mut self.parcel, record, *number, attempt.span(), &emissions));
        let became = match &encoded {
            Ok(()) => {
                self.succeeded += 1;
                self.parcel.finish(record);
                SpanOutcome::Emitted
            }
            Err(fault) => self.failed(index, fault),
        };
        if let Some(traced) = traced {
            let (call, trigger) = (self.call, SpanTrigger::Record);
            self.callable.tracer.end(&FinishedSpan { record, attempt: *number, traced, call, trigger, became });
        }
    }
}
