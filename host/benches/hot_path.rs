//! What each stage costs for a chunk of 256 records of 200 bytes: `./run bench micro`.
//!
//! Read the column "median" and divide by 256, or read the items a second.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, Divan};
use millstream::config::manifest;
use millstream::consume::decode::{Fields, decode};
use millstream::dispatch::lanes::{Lanes, Settled};
use millstream::dispatch::pace::Portion;
use millstream::emit::encoder::Encoder;
use millstream::invoke::admission::Admission;
use millstream::invoke::pool::Pool;
use millstream::model::batch_bytes::BatchLimits;
use millstream::model::function::{Format, Isolation, Manifest, Ordering, Revision, Shape, SharedRevision};
use millstream::model::ids::{Digest, RevisionNumber};
use millstream::model::lease::Lease;
use millstream::model::parcel::Parcel;
use millstream::model::position::TopicPartition;
use millstream::model::work::{Batch, Chunk, ChunkRecord, LaneId, RecordRef};
use millstream::telemetry::function_metrics::FunctionMetrics;
use millstream::wasm::log::TracingLog;
use millstream::wasm::{Engine, EngineOptions};
use millstream_flat::{Answer, AnswerWriter, EmissionFields, Record, Verdict, begin_batch};

const RECORDS: usize = 256;
const VALUE: [u8; 200] = [b'v'; 200];
const CALL_LIMIT: Duration = Duration::from_secs(3);

fn main() {
    Divan::from_args().main();
}

fn revision(format: &str) -> SharedRevision {
    let text = format!(
        "name = \"bench\"\ntopics = [\"in\"]\n[outputs]\ndefault = {{ topic = \"out\", format = \"{format}\" }}\n"
    );
    let manifest: Manifest = manifest::from_toml(&text).expect("a valid manifest");
    Arc::new(Revision {
        number: RevisionNumber(1),
        digest: Digest::of(b""),
        module_bytes: 0,
        shape: Shape::MillstreamBatch,
        manifest,
        deployed_at_ms: 0,
    })
}

fn fields<'a>(offset: i64, headers: &'a [(&'a str, Option<&'a [u8]>)]) -> Fields<'a> {
    let (key, value) = (Some(&b"k000123"[..]), Some(&VALUE[..]));
    Fields { topic: "in", partition: 0, offset, timestamp_ms: Some(1), key, value, headers }
}

/// A chunk whose records have that many keys.
fn chunk(keys: u64) -> Chunk {
    let mut arena = Vec::new();
    let records = (0..RECORDS as i64).map(|offset| ChunkRecord {
        from: offset,
        offset,
        flat: decode(&mut arena, &fields(offset, &[])).flat,
        original_value: None,
        key_hash: Some((offset as u64 % keys).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        undecodable: None,
    });
    let records = records.collect();
    let lease = Arc::new(Lease::new(TopicPartition::new("in", 0), 1, 0));
    Chunk { lease, revision: revision("raw"), arena, records }
}

fn request(chunk: &Chunk, records: usize) -> Vec<u8> {
    let mut request = Vec::new();
    begin_batch(&mut request, records as u32, 0, "default");
    (0..records as u32).for_each(|index| request.extend_from_slice(chunk.flat(index)));
    request
}

#[divan::bench]
fn decode_plain(bencher: Bencher<'_, '_>) {
    decode_all(bencher, &[]);
}

#[divan::bench]
fn decode_cloudevent(bencher: Bencher<'_, '_>) {
    let headers: [(&str, Option<&[u8]>); 5] = [
        ("ce_specversion", Some(b"1.0")),
        ("ce_id", Some(b"7b2c")),
        ("ce_source", Some(b"/bids")),
        ("ce_type", Some(b"auction.bid.placed")),
        ("content-type", Some(b"application/json")),
    ];
    decode_all(bencher, &headers);
}

fn decode_all(bencher: Bencher<'_, '_>, headers: &[(&str, Option<&[u8]>)]) {
    let mut arena = Vec::with_capacity(1 << 20);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        arena.clear();
        for offset in 0..RECORDS as i64 {
            black_box(decode(&mut arena, &fields(offset, headers)));
        }
    });
}

/// Sorts a chunk into lanes, takes everything out in batches, and lets the lanes go.
#[divan::bench(args = [1, 20, 256])]
fn lanes_by_key(bencher: Bencher<'_, '_>, keys: u64) {
    lanes(bencher, Ordering::Key, keys);
}

#[divan::bench]
fn lanes_by_partition(bencher: Bencher<'_, '_>) {
    lanes(bencher, Ordering::Partition, 20);
}

fn lanes(bencher: Bencher<'_, '_>, ordering: Ordering, keys: u64) {
    let portion = Portion { of_one_lane: RECORDS, in_all: RECORDS };
    bencher.counter(ItemsCount::new(RECORDS)).with_inputs(|| (Lanes::new(ordering), chunk(keys))).bench_local_values(
        |(mut lanes, chunk)| {
            lanes.push(chunk);
            while let Some(batch) = lanes.take(portion) {
                for (lane, epoch, spans) in held(&batch) {
                    lanes.settle(lane, epoch, spans, Settled::Finished);
                }
            }
            lanes
        },
    );
}

fn held(batch: &Batch) -> Vec<(Option<LaneId>, u64, usize)> {
    let mut held: Vec<(Option<LaneId>, u64, usize)> = Vec::with_capacity(batch.parts.len());
    for part in &batch.parts {
        match held.last_mut() {
            Some((lane, _, spans)) if part.lane.is_some() && *lane == part.lane => *spans += 1,
            _ => held.push((part.lane, part.span.chunk.lease.epoch, 1)),
        }
    }
    held
}

/// A call of the example `uppercase` through the pool, with that many records in it.
#[divan::bench(args = [1, 100, 256])]
fn call_hot(bencher: Bencher<'_, '_>, records: usize) {
    call(bencher, Isolation::Shared, records);
}

/// The same in a fresh sandbox: start, call, end.
#[divan::bench(args = [1, 100])]
fn call_cold(bencher: Bencher<'_, '_>, records: usize) {
    call(bencher, Isolation::Batch, records);
}

fn call(bencher: Bencher<'_, '_>, isolation: Isolation, records: usize) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/target/wasm32-wasip2/release/uppercase.wasm");
    let module: Arc<[u8]> = std::fs::read(file).expect("`./run guests` builds the examples").into();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let engine = Engine::new(EngineOptions { max_instances: 16, ..EngineOptions::default() }).expect("an engine");
    let program = runtime.block_on(engine.load(module.clone(), Digest::of(&module))).expect("a function");
    let metrics = Arc::new(FunctionMetrics::default());
    let sandbox = program.sandbox(&revision("raw"), metrics.clone(), Arc::new(TracingLog::new("bench")));
    let mut instances = revision("raw").manifest.instances.clone();
    instances.isolation = Some(isolation);
    let pool = Pool::new(sandbox, &instances, Arc::new(Admission::new(16)), metrics);
    let request = request(&chunk(20), records);
    bencher
        .counter(ItemsCount::new(records))
        .bench_local(|| runtime.block_on(pool.call(&request, records, CALL_LIMIT)).expect("an answer"));
}

#[divan::bench]
fn encode_raw(bencher: Bencher<'_, '_>) {
    encode(bencher, "raw", Format::Raw);
}

#[divan::bench]
fn encode_binary(bencher: Bencher<'_, '_>) {
    encode(bencher, "binary", Format::Binary);
}

fn encode(bencher: Bencher<'_, '_>, format: &str, expected: Format) {
    let revision = revision(format);
    assert_eq!(revision.manifest.outputs["default"].format, expected, "the manifest says so");
    let (encoder, chunk) = (Encoder::new(&revision, &BatchLimits::default()), Arc::new(chunk(20)));
    let mut answer = AnswerWriter::new();
    for _ in 0..RECORDS {
        answer.begin_emitted();
        answer.emission(&EmissionFields { data: Some(&VALUE), ..EmissionFields::default() });
        answer.end_emitted();
    }
    let answer = answer.finish();
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        let mut parcel = Parcel::default();
        let answer = Answer::parse(&answer).expect("an answer");
        for (index, verdict) in answer.verdicts().enumerate() {
            let record = RecordRef { chunk: chunk.clone(), index: index as u32 };
            if let Verdict::Emitted(emissions) = verdict {
                encoder.emitted(&mut parcel, &record, 1, &emissions).expect("it is allowed");
                parcel.finish(&record);
            }
        }
        parcel
    });
}

/// What reading a record back costs, which the encoder does for its key and its trace.
#[divan::bench]
fn parse_record(bencher: Bencher<'_, '_>) {
    let chunk = chunk(20);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        for index in 0..RECORDS as u32 {
            black_box(Record::parse(chunk.flat(index), "").expect("a record"));
        }
    });
}
