//! The intake: one consumer's records, decoded, filtered and handed over in chunks. A poller thread gives it turns.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use millstream_flat::Record;
use rustc_hash::FxHasher;
use tokio::sync::oneshot;

use super::decode::{self, Fields};
use super::filter;
use super::partition::{Gate, GateChange, Partition};
use crate::cloudevents::NotAnEvent;
use crate::kafka::consumer::{Consumer, Polled, RawRecord};
use crate::kafka::poller::{Turn, Turned};
use crate::model::function::SharedRevision;
use crate::model::lease::Lease;
use crate::model::offsets::Progress;
use crate::model::work::{Chunk, ChunkRecord};
use crate::telemetry::function_metrics::FunctionMetrics;

/// Records taken in one turn before the other consumers of the thread get theirs.
const RECORDS_PER_TURN: usize = 1024;

/// Where an intake hands over. None of these may wait.
pub trait Downstream: Send {
    /// Records to be worked on.
    fn chunk(&self, chunk: Chunk);
    /// Offsets that need no work: filtered, or never delivered.
    fn skipped(&self, lease: &Arc<Lease>, offsets: std::ops::Range<i64>);
    /// Something that a person should know; `fatal` when the consumer can't go on.
    fn trouble(&self, reason: String, fatal: bool);
    /// The next offset of one of the partitions is not in its topic.
    fn out_of_range(&self, reason: String);
}

/// What an intake can be told.
#[derive(Debug)]
pub enum Command {
    /// Take records of this partition.
    Add(Arc<Lease>, Progress),
    /// Take no more records under these leases; answered once none will come.
    Remove(Vec<Arc<Lease>>, oneshot::Sender<()>),
    /// From now on stamp chunks with this revision.
    Revise(SharedRevision),
    /// It is over.
    Stop,
}

/// What an intake is made with.
#[derive(Debug)]
pub struct Options {
    /// The revision that handles what is taken first.
    pub revision: SharedRevision,
    /// The cluster's name in the `source` of wrapped records.
    pub cluster: Arc<str>,
    /// Where records are counted.
    pub metrics: Arc<FunctionMetrics>,
}

/// One consumer's intake.
pub struct Intake<D> {
    consumer: Arc<Consumer>,
    commands: mpsc::Receiver<Command>,
    downstream: D,
    revision: SharedRevision,
    cluster: Arc<str>,
    metrics: Arc<FunctionMetrics>,
    partitions: Vec<Partition>,
    /// Where the last record was found: the next one is most likely of the same partition.
    last: usize,
}

impl<D: Downstream> Intake<D> {
    /// An intake without partitions.
    pub fn new(consumer: Arc<Consumer>, commands: mpsc::Receiver<Command>, downstream: D, options: Options) -> Self {
        Self {
            consumer,
            commands,
            downstream,
            revision: options.revision,
            cluster: options.cluster,
            metrics: options.metrics,
            partitions: Vec::new(),
            last: 0,
        }
    }

    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Add(lease, finished)) => {
                    let limit = self.revision.manifest.delivery.in_flight;
                    self.partitions.push(Partition::new(lease, finished, limit));
                }
                Ok(Command::Remove(leases, answer)) => {
                    let goes = |partition: &Partition| leases.iter().any(|lease| lease.epoch == partition.lease.epoch);
                    self.partitions.retain(|partition| !goes(partition));
                    // The one who asked may have stopped waiting.
                    let _ = answer.send(());
                }
                Ok(Command::Revise(revision)) => {
                    self.hand_over();
                    self.revision = revision;
                }
                Ok(Command::Stop) | Err(mpsc::TryRecvError::Disconnected) => return false,
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
            open &= !matches!(partition.gate, Gate::Full(_));
        }
        open
    }

    fn take(&mut self, record: &RawRecord<'_>) {
        let Some(index) = self.find(record.topic(), record.partition()) else { return };
        self.last = index;
        let partition = &mut self.partitions[index];
        let offset = record.offset();
        partition.lease.raise_end(offset + 1);
        if partition.is_finished(offset) {
            partition.pass_over(offset + 1);
            return;
        }
        let (headers, unreadable) = match record.headers() {
            Ok(headers) => (headers, None),
            Err(error) => (Vec::new(), Some(NotAnEvent(error.to_string()))),
        };
        let fields = Fields {
            topic: record.topic(),
            partition: record.partition(),
            offset,
            timestamp_ms: record.timestamp_ms(),
            key: record.key(),
            value: record.value(),
            headers: &headers,
        };
        let arena_length = partition.arena().len();
        let decoded = match unreadable {
            None => decode::decode(partition.arena(), &fields),
            unreadable => decode::plain(partition.arena(), &fields, unreadable),
        };
        let filters = &self.revision.manifest.filters;
        if decoded.undecodable.is_none() && !filters.is_empty() {
            let flat = &partition.arena()[decoded.flat.start as usize..decoded.flat.end as usize];
            let passes = Record::parse(flat, &self.cluster)
                .is_ok_and(|event| filter::passes(filters, &|name: &str| event.attribute(name)));
            if !passes {
                partition.forget_last(arena_length);
                partition.pass_over(offset + 1);
                self.metrics.filtered.inc();
                return;
            }
        }
        partition.add(ChunkRecord {
            from: offset,
            offset,
            flat: decoded.flat,
            original_value: decoded.original_value,
            key_hash: record.key().map(hash),
            undecodable: decoded.undecodable.map(|error| error.0.into()),
        });
        if partition.has_full_chunk(self.revision.manifest.delivery.batch_size)
            && let Some(chunk) = partition.take_chunk(&self.revision)
        {
            self.downstream.chunk(chunk);
        }
    }

    fn find(&self, topic: &str, number: i32) -> Option<usize> {
        let is_it = |partition: &Partition| {
            partition.lease.partition.partition == number && *partition.lease.partition.topic == *topic
        };
        if self.partitions.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        self.partitions.iter().position(is_it)
    }

    /// Every record of a partition was given: its position may lie past control records.
    fn reached_end(&mut self, number: i32) {
        let positions = match self.consumer.positions() {
            Ok(positions) => positions,
            Err(error) => return self.downstream.trouble(error.to_string(), false),
        };
        for partition in &mut self.partitions {
            let own = &partition.lease.partition;
            let position = positions.iter().find(|(place, _)| own.partition == number && place == own);
            if let Some((_, position)) = position {
                partition.lease.raise_end(*position);
                partition.pass_over(*position);
            }
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

impl<D: Downstream> Turn for Intake<D> {
    fn turn(&mut self) -> Turned {
        if !self.obey() {
            return Turned::Finished;
        }
        let consumer = self.consumer.clone();
        let mut taken = 0;
        let mut queue_is_empty = false;
        // Budgets are looked at between short runs, so that one partition overshoots its own by a run at most.
        while taken < RECORDS_PER_TURN && !queue_is_empty && self.open_gates() {
            for _ in 0..64 {
                match consumer.poll() {
                    Some(Polled::Record(record)) => {
                        taken += 1;
                        self.take(&record);
                    }
                    Some(Polled::End(partition)) => self.reached_end(partition),
                    Some(Polled::OffsetOutOfRange(reason)) => self.downstream.out_of_range(reason),
                    Some(Polled::Passing(reason)) => self.downstream.trouble(reason, false),
                    Some(Polled::Fatal(reason)) => self.downstream.trouble(reason, true),
                    None => {
                        queue_is_empty = true;
                        break;
                    }
                }
            }
        }
        self.hand_over();
        if taken == 0 {
            return Turned::Waiting;
        }
        self.metrics.received.inc_by(taken as u64);
        Turned::Busy
    }
}

fn hash(key: &[u8]) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = FxHasher::default();
    hasher.write(key);
    hasher.finish()
}
