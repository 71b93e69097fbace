//! The work of each stage on a chunk of 256 records of 200 bytes, for the benches: `hot_path` times it, `instructions` counts it.
//!
//! The only part of the host that other crates see, besides [`run`](crate::run).

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use crate::commit::tracker::ProgressTracker;
use crate::config::manifest;
use crate::consume::decode::{RawFields, decode};
use crate::dispatch::lanes::BatchEnd;
pub use crate::dispatch::lanes::Lanes;
use crate::dispatch::pace::BatchBounds;
use crate::emit::encoder::EmissionEncoder;
use crate::invoke::admission::InstanceAdmission;
use crate::invoke::pool::InstancePool;
use crate::model::batch_bytes::BatchLimits;
pub use crate::model::function::{EventFormat, Isolation, Ordering};
use crate::model::function::{Manifest, ModuleShape, Revision, SharedRevision};
use crate::model::ids::{ArtifactDigest, RevisionNumber};
use crate::model::lease::PartitionLease;
use crate::model::offset_map;
use crate::model::offsets::PartitionProgress;
use crate::model::parcel::Parcel;
use crate::model::position::TopicPartition;
use crate::model::record::RecordHeaders;
use crate::model::work::{ChunkRecord, LaneId, RecordChunk, RecordRef, WorkBatch};
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::log::TracingLog;
use crate::wasm::{EngineOptions, WasmEngine};
use millstream_flat::{Answer, AnswerWriter, EmissionFields, Record, Verdict, begin_batch};

/// Records of a chunk.
pub const RECORDS: usize = 256;

const VALUE: [u8; 200] = [b'v'; 200];

/// A record's headers.
pub type Headers = [(&'static str, Option<&'static [u8]>)];

/// Those of an event in binary mode.
pub const CLOUDEVENT: &Headers = &[
    ("ce_specversion", Some(b"1.0")),
    ("ce_id", Some(b"7b2c")),
    ("ce_source", Some(b"/bids")),
    ("ce_type", Some(b"auction.bid.placed")),
    ("content-type", Some(b"application/json")),
];

/// A function that writes in that format.
fn revision(format: &str) -> SharedRevision {
    let text = format!(
        "name = \"bench\"\ntopics = [\"in\"]\n[outputs]\ndefault = {{ topic = \"out\", format = \"{format}\" }}\n"
    );
    let manifest: Manifest = manifest::from_toml(&text).expect("a valid manifest");
    Arc::new(Revision {
        number: RevisionNumber(1),
        digest: ArtifactDigest::of(b""),
        module_bytes: 0,
        shape: ModuleShape::MillstreamBatch,
        manifest,
        deployed_at_ms: 0,
    })
}

fn fields<'a>(offset: i64, headers: &'a RecordHeaders<'a>) -> RawFields<'a> {
    let (key, value) = (Some(&b"k000123"[..]), Some(&VALUE[..]));
    RawFields { topic: "in", partition: 0, offset, timestamp_ms: Some(1), key, value, headers }
}

fn lease() -> Arc<PartitionLease> {
    Arc::new(PartitionLease::new(TopicPartition::new("in", 0), 1, 0))
}

/// A chunk whose records have that many keys.
pub fn chunk(keys: u64) -> RecordChunk {
    let mut arena = Vec::new();
    let records = (0..RECORDS as i64).map(|offset| ChunkRecord {
        from: offset,
        offset,
        flat: decode(&mut arena, &fields(offset, &RecordHeaders::default())).flat,
        original_value: None,
        original_headers: None,
        key_hash: Some((offset as u64 % keys).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        undecodable: None,
    });
    let records = records.collect();
    RecordChunk { lease: lease(), revision: revision("raw"), arena, records }
}

/// Decodes a chunk's records.
pub fn decode_all(arena: &mut Vec<u8>, headers: &Headers) {
    arena.clear();
    let headers = &headers.iter().copied().collect::<RecordHeaders<'_>>();
    for offset in 0..RECORDS as i64 {
        black_box(decode(arena, &fields(offset, headers)));
    }
}

/// Reads the records of `chunk` back, as the encoder does for their keys and traces.
pub fn parse_all(chunk: &RecordChunk) {
    for index in 0..RECORDS as u32 {
        black_box(Record::parse(chunk.flat(index), "").expect("a record"));
    }
}

/// Sorts a chunk into lanes, takes everything out in batches, and lets the lanes go.
pub fn through_lanes(mut lanes: Lanes, chunk: RecordChunk) -> Lanes {
    let portion = BatchBounds { of_one_lane: RECORDS, in_all: RECORDS };
    lanes.push(chunk);
    while let Some(batch) = lanes.take(portion) {
        for (lane, epoch, spans) in held(&batch) {
            lanes.settle(lane, epoch, spans, BatchEnd::Finished);
        }
    }
    lanes
}

fn held(batch: &WorkBatch) -> Vec<(Option<LaneId>, u64, usize)> {
    let mut held: Vec<(Option<LaneId>, u64, usize)> = Vec::with_capacity(batch.parts.len());
    for part in &batch.parts {
        match held.last_mut() {
            Some((lane, _, spans)) if part.lane.is_some() && *lane == part.lane => *spans += 1,
            _ => held.push((part.lane, part.span.chunk.lease.epoch, 1)),
        }
    }
    held
}

/// A pool of the example `uppercase`, and a request of that many records.
pub struct Guest {
    runtime: tokio::runtime::Runtime,
    pool: InstancePool,
    request: Vec<u8>,
    records: usize,
}

impl Guest {
    /// See [`Guest`].
    pub fn new(isolation: Isolation, records: usize) -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/target/wasm32-wasip2/release/uppercase.wasm");
        let module: Arc<[u8]> = std::fs::read(file).expect("`./run guests` builds the examples").into();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let inside = runtime.enter();
        // Few, so that valgrind can reserve their address space.
        let engine =
            WasmEngine::new(EngineOptions { max_instances: 2, ..EngineOptions::default() }).expect("an engine");
        let program = runtime.block_on(engine.load(module.clone(), ArtifactDigest::of(&module))).expect("a function");
        let metrics = Arc::new(FunctionMetrics::default());
        let sandbox = program.sandbox(&revision("raw"), metrics.clone(), Arc::new(TracingLog::new("bench")));
        let mut instances = revision("raw").manifest.instances.clone();
        instances.isolation = Some(isolation);
        let pool = InstancePool::new(sandbox, &instances, Arc::new(InstanceAdmission::new(2)), metrics);
        drop(inside);
        let chunk = chunk(20);
        let mut request = Vec::new();
        begin_batch(&mut request, records as u32, 0, "default");
        (0..records as u32).for_each(|index| request.extend_from_slice(chunk.flat(index)));
        Self { runtime, pool, request, records }
    }

    /// One call.
    pub fn call(&self) {
        let limit = std::time::Duration::from_secs(3);
        black_box(self.runtime.block_on(self.pool.call(&self.request, self.records, limit)).expect("an answer"));
    }
}

/// An encoder for a function that writes in that format.
pub fn encoder(format: &str, expected: EventFormat) -> EmissionEncoder {
    let revision = revision(format);
    assert_eq!(revision.manifest.outputs["default"].format, expected, "the manifest says so");
    EmissionEncoder::new(&revision, &BatchLimits::default())
}

/// What a guest answers that emits one event for each record of a chunk.
pub fn answer() -> Vec<u8> {
    let mut answer = AnswerWriter::new();
    for _ in 0..RECORDS {
        answer.begin_emitted();
        answer.emission(&EmissionFields { data: Some(&VALUE), ..EmissionFields::default() });
        answer.end_emitted();
    }
    answer.finish()
}

/// Makes messages of it.
pub fn encode_all(encoder: &EmissionEncoder, chunk: &Arc<RecordChunk>, answer: &[u8]) -> Parcel {
    let mut parcel = Parcel::default();
    let answer = Answer::parse(answer).expect("an answer");
    for (index, verdict) in answer.verdicts().enumerate() {
        let record = RecordRef { chunk: chunk.clone(), index: index as u32 };
        if let Verdict::Emitted(emissions) = verdict {
            encoder.emitted(&mut parcel, &record, 1, None, &emissions).expect("it is allowed");
            parcel.finish(&record);
        }
    }
    parcel
}

/// Finishes the offsets of a chunk, every second one first, and commits after each.
pub fn track_all() -> ProgressTracker {
    let lease = lease();
    lease.take(RECORDS);
    let mut tracker = ProgressTracker::new(lease, PartitionProgress::new(0));
    let one = |offset: i64| -> Range<i64> { offset..offset + 1 };
    let end = RECORDS as i64;
    for offset in (1..end).step_by(2).chain((0..end).step_by(2)) {
        tracker.know(one(offset), 1);
        tracker.acknowledge(one(offset));
    }
    tracker.begin_commit();
    tracker.settle_commit(true);
    tracker
}

/// What is finished when every second record of that many is.
pub fn every_second(records: i64) -> PartitionProgress {
    let mut progress = PartitionProgress::new(0);
    (1..records).step_by(2).for_each(|offset| _ = progress.finish(offset..offset + 1, 1));
    progress
}

/// Writes a map, and reads it back.
pub fn map_there_and_back(progress: &PartitionProgress) {
    let text = offset_map::encode(progress, None, 1, offset_map::LONGEST).text;
    black_box(offset_map::decode(&text, progress.watermark()).expect("a map"));
}
