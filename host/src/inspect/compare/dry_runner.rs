//! A revision that is run without emitting: its own instances, its lines thrown away, its figures nobody's.

use std::sync::Arc;

use millstream_flat::{Emissions, Record};

use crate::consume::decode::{self, RawFields};
use crate::consume::filter;
use crate::dispatch::pace::RecordPace;
use crate::dispatch::retry::{self, RetryDecision};
use crate::execute::revisions::CallableRevision;
use crate::inspect::compare::normalized_event::{ComparedOutcome, NormalizedEvent};
use crate::invoke::call::{OutcomeSink, RecordAttempt};
use crate::model::function::{Revision, SharedRevision};
use crate::model::lease::PartitionLease;
use crate::model::outcome::GuestFault;
use crate::model::parcel::Parcel;
use crate::model::record::{PastRecord, RecordHeaders};
use crate::model::work::{ChunkRecord, RecordChunk, RecordRef};
use crate::pipeline::supervisor::HostServices;
use crate::wasm::log::{GuestLogSink, Level};

pub(crate) struct DryRunner {
    callable: CallableRevision,
    cluster: Arc<str>,
    pace: RecordPace,
}

/// A revision can't be called.
#[derive(Debug, thiserror::Error)]
#[error("revision {0} cannot be started: {1}")]
pub(crate) struct NotStarted(u64, String);

/// What came of a record.
pub(crate) struct DryRun {
    pub(crate) side: DryOutcome,
    /// What it emitted, as a host would write it.
    pub(crate) parcel: Parcel,
}

/// What came of a record.
pub(crate) enum DryOutcome {
    Filtered,
    Emitted,
    GivenUp(GuestFault),
}

impl DryRun {
    pub(crate) fn side(&self, ignore: &[String]) -> ComparedOutcome {
        match &self.side {
            DryOutcome::Filtered => ComparedOutcome::Filtered,
            DryOutcome::GivenUp(fault) => {
                ComparedOutcome::GivenUp { class: fault.class.as_str().to_owned(), message: fault.message.clone() }
            }
            DryOutcome::Emitted => {
                let parcel = &self.parcel;
                let shape = |message: &crate::model::parcel::ParcelMessage| {
                    let key = message.key.as_ref().map(|key| parcel.slice(key));
                    let value = message.value.as_ref().map(|value| parcel.slice(value));
                    NormalizedEvent::of(&message.topic, key, value, parcel.headers_of(message), ignore)
                };
                ComparedOutcome::emitted(parcel.messages.iter().map(shape).collect())
            }
        }
    }
}

/// What guests write here nobody should take for what the function writes.
struct DiscardedLog;

impl GuestLogSink for DiscardedLog {
    fn line(&self, _: Level, _: &str) {}
}

impl DryRunner {
    pub(crate) async fn set(ground: &HostServices, revision: &SharedRevision) -> Result<Self, NotStarted> {
        // What is live has its instances ready; what is compared starts them when it needs them.
        let mut own = Revision::clone(revision);
        own.manifest.instances.min = 0;
        let callable = ground.callable(&Arc::new(own), Arc::default(), Arc::new(DiscardedLog)).await;
        let callable = callable.map_err(|reason| NotStarted(revision.number.0, reason))?;
        Ok(Self { callable, cluster: ground.environment.cluster.clone(), pace: RecordPace::default() })
    }

    /// Runs records, in their order, and gives what came of each.
    pub(crate) async fn run(&self, portion: &[PastRecord]) -> Vec<DryRun> {
        let mut ran: Vec<DryRun> =
            (0..portion.len()).map(|_| DryRun { side: DryOutcome::Filtered, parcel: Parcel::default() }).collect();
        let mut attempts = Vec::with_capacity(portion.len());
        let mut places = Vec::with_capacity(portion.len());
        let mut start = 0;
        for of_partition in portion.chunk_by(|one, next| one.partition == next.partition) {
            let (chunk, indexes) = self.chunk(of_partition);
            for (index, place) in indexes.into_iter().enumerate() {
                attempts.push(RecordAttempt::new(RecordRef { chunk: chunk.clone(), index: index as u32 }, 1));
                places.push(start + place);
            }
            start += of_partition.len();
        }
        let most = self.callable.revision.manifest.delivery.batch_size;
        let mut done = 0;
        while done < attempts.len() {
            let next = self.pace.portion(most).of_one_lane.min(attempts.len() - done);
            let range = done..done + next;
            let mut hearing = DryRunSink {
                bench: self,
                attempts: &attempts[range.clone()],
                places: &places[range],
                ran: &mut ran,
                again: Vec::new(),
            };
            let spent = self.callable.invoker.run(hearing.attempts, &mut hearing).await;
            self.pace.note(spent.records, spent.elapsed);
            let again = hearing.again;
            for (index, fault) in again {
                self.try_again(&attempts[done + index], places[done + index], fault, &mut ran).await;
            }
            done += next;
        }
        ran
    }

    /// The attempts that are left, without the waits between them: nobody waits for what comes of it.
    async fn try_again(&self, first: &RecordAttempt, place: usize, mut fault: GuestFault, ran: &mut [DryRun]) {
        let mut number = 1;
        while matches!(retry::decide(&self.callable.revision.manifest.retry, number, &fault), RetryDecision::Again(_)) {
            number += 1;
            let attempts = [RecordAttempt::new(first.record.clone(), number)];
            let mut hearing = DryRunSink { bench: self, attempts: &attempts, places: &[place], ran, again: Vec::new() };
            self.callable.invoker.run(&attempts, &mut hearing).await;
            match hearing.again.pop() {
                Some((_, next)) => fault = next,
                None => return,
            }
        }
        ran[place].side = DryOutcome::GivenUp(fault);
    }

    /// Records as a consumer would hand them over, and which of `records` they are: those that no filter keeps away.
    fn chunk(&self, records: &[PastRecord]) -> (Arc<RecordChunk>, Vec<usize>) {
        let revision = &self.callable.revision;
        // There is one at least.
        let first = &records[0];
        let lease = Arc::new(PartitionLease::new(first.partition.clone(), 0, first.offset));
        let mut chunk = RecordChunk { lease, revision: revision.clone(), arena: Vec::new(), records: Vec::new() };
        let mut indexes = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            let headers: RecordHeaders<'_> = record.headers().collect();
            let fields = RawFields {
                topic: &record.partition.topic,
                partition: record.partition.partition,
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            };
            let length = chunk.arena.len();
            let decoded = decode::decode(&mut chunk.arena, &fields);
            let filters = &revision.manifest.filters;
            let flat = &chunk.arena[decoded.flat.start as usize..decoded.flat.end as usize];
            let passes = decoded.undecodable.is_some()
                || filters.is_empty()
                || Record::parse(flat, &self.cluster)
                    .is_ok_and(|event| filter::passes(filters, &|name: &str| event.attribute(name)));
            if !passes {
                chunk.arena.truncate(length);
                continue;
            }
            chunk.records.push(ChunkRecord {
                from: record.offset,
                offset: record.offset,
                flat: decoded.flat,
                original_value: decoded.original_value,
                original_headers: decoded.original_headers,
                key_hash: None,
                undecodable: decoded.undecodable.map(|error| error.0.into()),
            });
            indexes.push(index);
        }
        (Arc::new(chunk), indexes)
    }
}

/// Hears verdicts and encodes them as a host would.
struct DryRunSink<'a> {
    bench: &'a DryRunner,
    attempts: &'a [RecordAttempt],
    /// Where each belongs in `ran`.
    places: &'a [usize],
    ran: &'a mut [DryRun],
    /// Those that failed, by their index among the attempts.
    again: Vec<(usize, GuestFault)>,
}

impl OutcomeSink for DryRunSink<'_> {
    fn is_held_up(&self, _: usize) -> bool {
        false
    }

    fn hear(&mut self, index: usize, verdict: Result<Emissions<'_>, GuestFault>) {
        let mut parcel = Parcel::default();
        let encoder = &self.bench.callable.encoder;
        let RecordAttempt { record, number, .. } = &self.attempts[index];
        let encoded = verdict.and_then(|emissions| encoder.emitted(&mut parcel, record, *number, None, &emissions));
        match encoded {
            Ok(()) => self.ran[self.places[index]] = DryRun { side: DryOutcome::Emitted, parcel },
            Err(fault) => self.again.push((index, fault)),
        }
    }
}
