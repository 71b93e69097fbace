//! The intake: one consumer's records, decoded, filtered and handed over in chunks. A poller thread gives it turns.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::consume::admit::admit;
use crate::consume::decode::RawFields;
use crate::consume::partition::{GateChange, PartitionGate, PartitionIntake};
use crate::kafka::group::consumer::{ConsumerError, GroupConsumer};
use crate::kafka::group::poller::{PollOutcome, PollTask};
use crate::kafka::group::record_queue::{PartitionKey, PolledItem, RawRecord};
use crate::model::function::SharedRevision;
use crate::model::lease::PartitionLease;
use crate::model::offsets::PartitionProgress;
use crate::model::work::RecordChunk;
use crate::telemetry::function_metrics::FunctionMetrics;

/// Records taken in one turn before the other consumers of the thread get theirs.
const RECORDS_PER_TURN: usize = 1024;

/// Where an intake hands over. None of these may wait.
pub(crate) trait IntakeSink: Send {
    /// Records to be worked on.
    fn chunk(&self, chunk: RecordChunk);
    /// Offsets that need no work: filtered, or never delivered.
    fn skipped(&self, lease: &Arc<PartitionLease>, offsets: std::ops::Range<i64>);
    /// Something that a person should know; `fatal` when the consumer can't continue.
    fn trouble(&self, reason: String, fatal: bool);
    /// The next offset of one of the partitions is not in its topic.
    fn out_of_range(&self, reason: String);
}

/// What an intake can be asked.
#[derive(Debug)]
pub(crate) enum IntakeCommand {
    /// Take records of this partition.
    Add(Arc<PartitionLease>, PartitionProgress),
    /// Take no more records under these leases; answered once none will come.
    Remove(Vec<Arc<PartitionLease>>, oneshot::Sender<()>),
    /// From now on stamp chunks with this revision.
    Revise(SharedRevision),
    Stop,
}

/// What an intake is made with.
#[derive(Debug)]
pub(crate) struct IntakeOptions {
    /// The revision that handles what is taken first.
    pub(crate) revision: SharedRevision,
    /// The cluster's name in the `source` of wrapped records.
    pub(crate) cluster: Arc<str>,
    pub(crate) metrics: Arc<FunctionMetrics>,
}

pub(crate) struct Intake<D> {
    consumer: Arc<GroupConsumer>,
    commands: mpsc::Receiver<IntakeCommand>,
    downstream: D,
    revision: SharedRevision,
    cluster: Arc<str>,
    metrics: Arc<FunctionMetrics>,
    partitions: Vec<PartitionIntake>,
    /// The partition of the last record: the next one is most likely of the same.
    last: Option<(PartitionKey, usize)>,
    /// Whether something came since positions were looked at.
    has_news: bool,
    /// Whether it was asked to stop.
    is_over: bool,
}

impl<D: IntakeSink> Intake<D> {
    pub(crate) fn new(
        consumer: Arc<GroupConsumer>,
        commands: mpsc::Receiver<IntakeCommand>,
        downstream: D,
        options: IntakeOptions,
    ) -> Self {
        Self {
            consumer,
            commands,
            downstream,
            revision: options.revision,
            cluster: options.cluster,
            metrics: options.metrics,
            partitions: Vec::new(),
            last: None,
            has_news: false,
            is_over: false,
        }
    }

    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(IntakeCommand::Add(lease, finished)) => {
                    let limit = self.revision.manifest.delivery.in_flight;
                    self.partitions.push(PartitionIntake::new(lease, finished, limit));
                }
                Ok(IntakeCommand::Remove(leases, answer)) => {
                    let goes =
                        |partition: &PartitionIntake| leases.iter().any(|lease| lease.epoch == partition.lease.epoch);
                    self.partitions.retain(|partition| !goes(partition));
                    self.last = None;
                    // The one who asked may have stopped waiting.
                    let _ = answer.send(());
                }
                Ok(IntakeCommand::Revise(revision)) => {
                    self.hand_over();
                    self.revision = revision;
                }
                Ok(IntakeCommand::Stop) | Err(mpsc::TryRecvError::Disconnected) => return false,
                Err(mpsc::TryRecvError::Empty) => return true,
            }
        }
    }

    /// Whether the consumer may be polled: a full partition holds it up for a moment, then it is paused.
    fn open_gates(&mut self) -> bool {
        let now = Instant::now();
        let mut open = true;
        for partition in &mut self.partitions {
            let told = match partition.update_gate(now) {
                Some(GateChange::Pause) => self.consumer.pause(&partition.lease.partition),
                Some(GateChange::Resume) => self.consumer.resume(&partition.lease.partition),
                None => Ok(()),
            };
            if let Err(error) = told {
                self.downstream.trouble(error.to_string(), false);
            }
            if partition.is_due_anew(now) {
                self.consumer.misplaced(&partition.lease.partition);
            }
            open &= !matches!(partition.gate, PartitionGate::Full(_));
        }
        open
    }

    fn take(&mut self, record: &RawRecord<'_>) {
        let Some(index) = self.find(record) else { return };
        let partition = &mut self.partitions[index];
        if partition.is_doubted() {
            return;
        }
        let offset = record.offset();
        partition.lease.raise_end(offset + 1);
        if partition.is_finished(offset) {
            partition.pass_over(offset + 1);
            return;
        }
        let headers = record.headers();
        let fields = RawFields {
            topic: record.topic(),
            partition: record.partition(),
            offset,
            timestamp_ms: record.timestamp_ms(),
            key: record.key(),
            value: record.value(),
            headers: &headers,
        };
        let filters = &self.revision.manifest.filters;
        let Some(admitted) = admit(partition.arena(), &fields, filters, &self.cluster) else {
            partition.pass_over(offset + 1);
            self.metrics.filtered.inc();
            return;
        };
        partition.add(admitted);
        if partition.has_full_chunk(self.revision.manifest.delivery.batch_size)
            && let Some(chunk) = partition.take_chunk(&self.revision)
        {
            self.downstream.chunk(chunk);
        }
    }

    /// None for a record of a partition that is held, or was given back.
    fn find(&mut self, record: &RawRecord<'_>) -> Option<usize> {
        let place = record.place();
        if let Some((last, index)) = self.last
            && last == place
        {
            return Some(index);
        }
        self.look_up(record).or_else(|| {
            // The intake learns of a partition before that is assigned, and may not have listened since.
            self.is_over |= !self.obey();
            self.look_up(record)
        })
    }

    fn look_up(&mut self, record: &RawRecord<'_>) -> Option<usize> {
        let (topic, number) = (record.topic(), record.partition());
        let is_it = |partition: &PartitionIntake| {
            partition.lease.partition.partition == number && *partition.lease.partition.topic == *topic
        };
        let index = self.partitions.iter().position(is_it)?;
        self.last = Some((record.place(), index));
        Some(index)
    }

    /// Everything was given that came: positions may lie past control records.
    fn follow_positions(&mut self) {
        let positions = match self.consumer.positions() {
            Ok(positions) => positions,
            Err(error) => return self.downstream.trouble(error.to_string(), false),
        };
        for partition in self.partitions.iter_mut().filter(|partition| !partition.is_doubted()) {
            if let Some((_, position)) = positions.iter().find(|(place, _)| *place == partition.lease.partition) {
                partition.lease.raise_end(*position);
                partition.pass_over(*position);
            }
        }
    }

    fn failed(&mut self, failure: &RawRecord<'_>, trouble: Option<ConsumerError>) {
        if failure.misplaces()
            && let Some(index) = self.find(failure)
        {
            match trouble {
                // The shard is informed, and handles it.
                Some(ConsumerError::OffsetOutOfRange(_)) => self.partitions[index].fail_for_good(),
                _ => self.partitions[index].fail(Instant::now()),
            }
        }
        if let Some(trouble) = trouble {
            self.tell(trouble);
        }
    }

    fn tell(&self, trouble: ConsumerError) {
        match trouble {
            ConsumerError::OffsetOutOfRange(reason) => self.downstream.out_of_range(reason),
            ConsumerError::Passing(reason) => self.downstream.trouble(reason, false),
            ConsumerError::Fatal(reason) => self.downstream.trouble(reason, true),
        }
    }

    fn hand_over(&mut self) {
        for partition in &mut self.partitions {
            if let Some(chunk) = partition.take_chunk(&self.revision) {
                self.downstream.chunk(chunk);
            }
            if let Some(offsets) = partition.take_skipped() {
                self.downstream.skipped(&partition.lease, offsets);
            }
        }
    }
}

impl<D: IntakeSink> PollTask for Intake<D> {
    fn turn(&mut self) -> PollOutcome {
        if self.is_over || !self.obey() {
            return PollOutcome::Finished;
        }
        let consumer = self.consumer.clone();
        while let Some(trouble) = consumer.poll() {
            self.tell(trouble);
        }
        self.has_news |= consumer.has_news();
        let mut taken = 0;
        // Budgets are looked at between short runs, so that one partition overshoots its own by a run at most.
        while taken < RECORDS_PER_TURN && self.open_gates() {
            let batch = consumer.take();
            if batch.is_empty() {
                if std::mem::take(&mut self.has_news) {
                    self.follow_positions();
                }
                break;
            }
            for given in batch {
                match given {
                    PolledItem::Record(record) => {
                        taken += 1;
                        self.take(&record);
                    }
                    PolledItem::Failure(failure, trouble) => self.failed(&failure, trouble),
                }
            }
        }
        self.hand_over();
        if taken == 0 {
            return PollOutcome::Waiting;
        }
        self.metrics.received.inc_by(taken as u64);
        PollOutcome::Busy
    }
}
