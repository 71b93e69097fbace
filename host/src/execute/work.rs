//! The bytes of a record, wherever they came from, become work: decoded, filtered, and put into the chunk of their
//! partition, for one revision. A consumer's records take the same way in [`Intake`](crate::consume::intake::Intake).

use std::sync::Arc;

use crate::consume::admit::{admit, decode_record};
use crate::consume::decode::RawFields;
use crate::model::function::SharedRevision;
use crate::model::lease::PartitionLease;
use crate::model::position::TopicPartition;
use crate::model::work::{RecordChunk, RecordRef};
use crate::telemetry::otlp::SpanTrigger;

/// Where records come from. What of a manifest applies to them follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkOrigin {
    /// A partition that is assigned to this host.
    Consumer,
    /// A caller that waits for the answer.
    Call,
    /// A dead letter.
    Redrive,
    /// A topic's past, which a revision is run over again.
    Replay,
    /// A topic's past, which a shadow follows.
    Shadow,
    /// The command line: `test`, `bench` and `invoke` on a module.
    Local,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailurePolicy {
    /// Further attempts after the manifest's waits, then a dead letter.
    DeadLetter,
    /// Further attempts at once: nothing is written that could overtake something.
    DryRun,
    /// None: the failure is the caller's answer.
    Answer,
}

impl WorkOrigin {
    /// Whether the manifest's filters apply. A caller chose the record, and a dead letter has passed them before.
    fn is_filtered(self) -> bool {
        !matches!(self, Self::Call | Self::Redrive)
    }

    /// Whether attempts have spans.
    pub(crate) fn is_traced(self) -> bool {
        matches!(self, Self::Consumer | Self::Call | Self::Redrive)
    }

    /// What a span names as its cause.
    pub(crate) fn trigger(self) -> SpanTrigger {
        if self == Self::Call { SpanTrigger::Call } else { SpanTrigger::Record }
    }

    pub(crate) fn failure_policy(self) -> FailurePolicy {
        match self {
            Self::Consumer | Self::Redrive => FailurePolicy::DeadLetter,
            Self::Replay | Self::Shadow => FailurePolicy::DryRun,
            Self::Call | Self::Local => FailurePolicy::Answer,
        }
    }
}

/// Collects records that no consumer takes.
pub(crate) struct WorkBuilder<'a> {
    revision: &'a SharedRevision,
    cluster: &'a str,
    is_filtered: bool,
    work: PendingWork,
}

/// Records to be run, numbered in the order in which they were added.
pub(crate) struct PendingWork {
    pub(crate) origin: WorkOrigin,
    /// How many records were added, those that a filter keeps away included.
    pub(crate) added: usize,
    /// One of each partition. The epoch of its lease is its index here.
    pub(crate) chunks: Vec<RecordChunk>,
    /// The number of each record of each chunk.
    pub(crate) numbers: Vec<Vec<usize>>,
}

impl<'a> WorkBuilder<'a> {
    /// Work for `revision`; `cluster` is the cluster's name in the `source` of records that are not events.
    pub(crate) fn new(origin: WorkOrigin, revision: &'a SharedRevision, cluster: &'a str) -> Self {
        let work = PendingWork { origin, added: 0, chunks: Vec::new(), numbers: Vec::new() };
        Self { revision, cluster, is_filtered: origin.is_filtered(), work }
    }

    /// Adds a record. `unreadable` says why it has no headers that can be read.
    pub(crate) fn add(&mut self, fields: &RawFields<'_>) {
        let number = self.work.added;
        self.work.added += 1;
        let index = self.index_of(fields);
        let filters = if self.is_filtered { self.revision.manifest.filters.as_slice() } else { &[] };
        let chunk = &mut self.work.chunks[index];
        if let Some(record) = admit(&mut chunk.arena, fields, filters, self.cluster) {
            chunk.records.push(record);
            self.work.numbers[index].push(number);
        }
    }

    fn index_of(&mut self, fields: &RawFields<'_>) -> usize {
        let is_it = |chunk: &RecordChunk| {
            let partition = &chunk.lease.partition;
            partition.partition == fields.partition && *partition.topic == *fields.topic
        };
        // Records of one partition mostly come together.
        self.work.chunks.iter().rposition(is_it).unwrap_or_else(|| {
            let index = self.work.chunks.len();
            self.work.chunks.push(chunk_of(fields, index as u64, self.revision));
            self.work.numbers.push(Vec::new());
            index
        })
    }

    pub(crate) fn finish(self) -> PendingWork {
        self.work
    }
}

/// One record for `revision`, whatever the manifest's filters say.
pub(crate) fn unfiltered_record(fields: &RawFields<'_>, revision: &SharedRevision) -> RecordRef {
    let mut chunk = chunk_of(fields, 0, revision);
    let record = decode_record(&mut chunk.arena, fields);
    chunk.records.push(record);
    RecordRef { chunk: Arc::new(chunk), index: 0 }
}

/// An empty chunk of the record's partition. Its lease is not a right to commit anything.
fn chunk_of(fields: &RawFields<'_>, epoch: u64, revision: &SharedRevision) -> RecordChunk {
    let partition = TopicPartition::new(fields.topic, fields.partition);
    let lease = Arc::new(PartitionLease::new(partition, epoch, fields.offset));
    RecordChunk { lease, revision: revision.clone(), arena: Vec::new(), records: Vec::new() }
}

impl PendingWork {
    /// The records that are to be run, with their numbers, in the order of these.
    pub(crate) fn in_order(self) -> Vec<(usize, RecordRef)> {
        let mut all = Vec::with_capacity(self.added);
        for (chunk, numbers) in self.chunks.into_iter().zip(self.numbers) {
            let chunk = Arc::new(chunk);
            let record = |(index, number)| (number, RecordRef { chunk: chunk.clone(), index: index as u32 });
            all.extend(numbers.into_iter().enumerate().map(record));
        }
        // Mostly they are of one partition, and in order.
        all.sort_by_key(|(number, _)| *number);
        all
    }
}
