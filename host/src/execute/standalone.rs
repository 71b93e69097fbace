//! Records that come from no consumer: what somebody calls a function with, dead letters, a topic's past. They are handled
//! under a revision's own limits and retries, and nothing is written here: the outcomes are the caller's.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use millstream_flat::{Emissions, Record};

use crate::consume::decode::{RawFields, decode};
use crate::dispatch::retry::{self, RetryDecision};
use crate::execute::revisions::CallableRevision;
use crate::invoke::call::{OutcomeSink, RecordAttempt};
use crate::model::function::{Ordering, SharedRevision};
use crate::model::lease::PartitionLease;
use crate::model::outcome::{CallTime, FaultClass, GuestFault};
use crate::model::parcel::Parcel;
use crate::model::position::TopicPartition;
use crate::model::work::{ChunkRecord, RecordChunk, RecordRef};
use crate::telemetry::otlp::{FinishedSpan, SpanOutcome, SpanTrigger};

/// What became of a record.
#[derive(Debug)]
pub(crate) struct RecordOutcome {
    /// What it emitted, or its dead letter: as for a record of a consumer.
    pub(crate) parcel: Parcel,
    /// How many events it emitted, or why it was given up.
    pub(crate) outcome: Result<usize, GuestFault>,
}

/// A record that lies, or lay, where `fields` say.
pub(crate) fn record(fields: &RawFields<'_>, revision: &SharedRevision) -> RecordRef {
    let mut arena = Vec::new();
    let decoded = decode(&mut arena, fields);
    let record = ChunkRecord {
        from: fields.offset,
        offset: fields.offset,
        flat: decoded.flat,
        original_value: decoded.original_value,
        original_headers: decoded.original_headers,
        key_hash: None,
        undecodable: decoded.undecodable.map(|reason| reason.0.into()),
    };
    let partition = TopicPartition::new(fields.topic, fields.partition);
    let lease = Arc::new(PartitionLease::new(partition, 0, fields.offset));
    RecordRef {
        chunk: Arc::new(RecordChunk { lease, revision: revision.clone(), arena, records: vec![record] }),
        index: 0,
    }
}

/// Handles records, numbered by the caller: those of one lane one after another, as many lanes at once as the function has.
/// Gives them back in the order of their numbers.
pub(crate) async fn run_in_lanes(
    callable: &Arc<CallableRevision>,
    records: Vec<(usize, RecordRef)>,
) -> Vec<(usize, RecordOutcome)> {
    let manifest = &callable.revision.manifest;
    let mut lanes: Vec<Vec<(usize, RecordRef)>> = Vec::new();
    let mut lane_of: HashMap<Vec<u8>, usize> = HashMap::new();
    for (number, record) in records {
        let scope = match manifest.ordering {
            Ordering::None => None,
            Ordering::Partition => Some(record.chunk.lease.partition.to_string().into_bytes()),
            Ordering::Key => Record::parse(record.flat(), "").ok().and_then(|read| read.key().map(<[u8]>::to_vec)),
        };
        let lane = match scope {
            None => lanes.len(),
            Some(scope) => *lane_of.entry(scope).or_insert(lanes.len()),
        };
        if lane == lanes.len() {
            lanes.push(Vec::new());
        }
        lanes[lane].push((number, record));
    }
    let run_lane = |lane: Vec<(usize, RecordRef)>| async move {
        let mut ran = Vec::with_capacity(lane.len());
        for (number, record) in lane {
            ran.push((number, run(callable, &record).await));
        }
        ran
    };
    let lanes = stream::iter(lanes).map(run_lane).buffer_unordered(manifest.concurrency);
    let mut ran: Vec<(usize, RecordOutcome)> = lanes.collect::<Vec<_>>().await.into_iter().flatten().collect();
    ran.sort_unstable_by_key(|(number, _)| *number);
    ran
}

/// Handles one record, with the retries that the manifest allows.
async fn run(callable: &CallableRevision, record: &RecordRef) -> RecordOutcome {
    let manifest = &callable.revision.manifest;
    let mut number = 1;
    loop {
        let attempt = RecordAttempt { record: record.clone(), number, traced: callable.tracer.begin(record) };
        let mut hearing =
            LoneSink { callable, attempt: &attempt, call: CallTime::none(), parcel: Parcel::default(), outcome: None };
        callable.invoker.run(std::slice::from_ref(&attempt), &mut hearing).await;
        let LoneSink { mut parcel, outcome, call, .. } = hearing;
        let ended = |became: SpanOutcome<'_>| {
            if let Some(traced) = &attempt.traced {
                let trigger = SpanTrigger::Record;
                callable.tracer.end(&FinishedSpan { record, attempt: number, traced, call, trigger, became });
            }
        };
        let fault = match outcome {
            Some(Ok(emitted)) => {
                ended(SpanOutcome::Emitted);
                return RecordOutcome { parcel, outcome: Ok(emitted) };
            }
            Some(Err(fault)) => fault,
            // A verdict is heard of each record.
            None => GuestFault::new(FaultClass::InvalidAnswer, "the function gave no verdict"),
        };
        match retry::decide(&manifest.retry, number, &fault) {
            RetryDecision::Again(wait) => {
                ended(SpanOutcome::Retried(&fault));
                tokio::time::sleep(wait).await;
                number += 1;
            }
            RetryDecision::GiveUp => {
                ended(SpanOutcome::GivenUp(&fault));
                callable.encoder.dead_letter(&mut parcel, record, &fault, number);
                return RecordOutcome { parcel, outcome: Err(fault) };
            }
        }
    }
}

struct LoneSink<'a> {
    callable: &'a CallableRevision,
    attempt: &'a RecordAttempt,
    call: CallTime,
    parcel: Parcel,
    outcome: Option<Result<usize, GuestFault>>,
}

impl OutcomeSink for LoneSink<'_> {
    fn is_held_up(&self, _: usize) -> bool {
        false
    }

    fn called(&mut self, call: CallTime) {
        self.call = call;
    }

    fn hear(&mut self, _: usize, verdict: Result<Emissions<'_>, GuestFault>) {
        let encoder = &self.callable.encoder;
        let RecordAttempt { record, number, .. } = self.attempt;
        self.outcome = Some(verdict.and_then(|emissions| {
            encoder.emitted(&mut self.parcel, record, *number, self.attempt.span(), &emissions)?;
            Ok(emissions.len())
        }));
    }
}
