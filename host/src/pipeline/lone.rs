//! Records that come from no consumer: what somebody calls a function with, dead letters, a topic's past. They are handled
//! under a revision's own limits and retries, and nothing is written here: the outcomes are the caller's.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use millstream_flat::{Emissions, Record};

use super::revisions::Callable;
use crate::consume::decode::{Fields, decode};
use crate::dispatch::retry::{self, Decision};
use crate::invoke::call::{Attempt, Verdicts};
use crate::model::function::{Ordering, SharedRevision};
use crate::model::lease::Lease;
use crate::model::outcome::{CallTime, Fault, FaultClass};
use crate::model::parcel::Parcel;
use crate::model::position::TopicPartition;
use crate::model::work::{Chunk, ChunkRecord, RecordRef};
use crate::telemetry::otlp::{Became, Ended, Trigger};

/// What became of a record.
#[derive(Debug)]
pub(super) struct Ran {
    /// What it emitted, or its dead letter: as for a record of a consumer.
    pub(super) parcel: Parcel,
    /// How many events it emitted, or why it was given up.
    pub(super) outcome: Result<usize, Fault>,
}

/// A record that lies, or lay, where `fields` say.
pub(super) fn record(fields: &Fields<'_>, revision: &SharedRevision) -> RecordRef {
    let mut arena = Vec::new();
    let decoded = decode(&mut arena, fields);
    let record = ChunkRecord {
        from: fields.offset,
        offset: fields.offset,
        flat: decoded.flat,
        original_value: decoded.original_value,
        key_hash: None,
        undecodable: decoded.undecodable.map(|reason| reason.0.into()),
    };
    let partition = TopicPartition::new(fields.topic, fields.partition);
    let lease = Arc::new(Lease::new(partition, 0, fields.offset));
    RecordRef { chunk: Arc::new(Chunk { lease, revision: revision.clone(), arena, records: vec![record] }), index: 0 }
}

/// Handles records, numbered by the caller: those of one lane one after another, as many lanes at once as the function has.
/// Gives them back in the order of their numbers.
pub(super) async fn run_in_lanes(callable: &Arc<Callable>, records: Vec<(usize, RecordRef)>) -> Vec<(usize, Ran)> {
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
    let mut ran: Vec<(usize, Ran)> = lanes.collect::<Vec<_>>().await.into_iter().flatten().collect();
    ran.sort_unstable_by_key(|(number, _)| *number);
    ran
}

/// Handles one record, with the retries that the manifest allows.
async fn run(callable: &Callable, record: &RecordRef) -> Ran {
    let manifest = &callable.revision.manifest;
    let mut number = 1;
    loop {
        let attempt = Attempt { record: record.clone(), number, traced: callable.tracer.begin(record) };
        let mut hearing =
            Hearing { callable, attempt: &attempt, call: CallTime::none(), parcel: Parcel::default(), outcome: None };
        callable.invoker.run(std::slice::from_ref(&attempt), &mut hearing).await;
        let Hearing { mut parcel, outcome, call, .. } = hearing;
        let ended = |became: Became<'_>| {
            if let Some(traced) = &attempt.traced {
                let trigger = Trigger::Record;
                callable.tracer.end(&Ended { record, attempt: number, traced, call, trigger, became });
            }
        };
        let fault = match outcome {
            Some(Ok(emitted)) => {
                ended(Became::Emitted);
                return Ran { parcel, outcome: Ok(emitted) };
            }
            Some(Err(fault)) => fault,
            // A verdict is heard of each record.
            None => Fault::new(FaultClass::InvalidAnswer, "the function gave no verdict"),
        };
        match retry::decide(&manifest.retry, number, &fault) {
            Decision::Again(wait) => {
                ended(Became::Retried(&fault));
                tokio::time::sleep(wait).await;
                number += 1;
            }
            Decision::GiveUp => {
                ended(Became::GivenUp(&fault));
                callable.encoder.dead_letter(&mut parcel, record, &fault, number);
                return Ran { parcel, outcome: Err(fault) };
            }
        }
    }
}

struct Hearing<'a> {
    callable: &'a Callable,
    attempt: &'a Attempt,
    call: CallTime,
    parcel: Parcel,
    outcome: Option<Result<usize, Fault>>,
}

impl Verdicts for Hearing<'_> {
    fn is_held_up(&self, _: usize) -> bool {
        false
    }

    fn called(&mut self, call: CallTime) {
        self.call = call;
    }

    fn hear(&mut self, _: usize, verdict: Result<Emissions<'_>, Fault>) {
        let encoder = &self.callable.encoder;
        let Attempt { record, number, .. } = self.attempt;
        self.outcome = Some(verdict.and_then(|emissions| {
            encoder.emitted(&mut self.parcel, record, *number, self.attempt.span(), &emissions)?;
            Ok(emissions.len())
        }));
    }
}
