//! How long each stage takes for a chunk of 256 records of 200 bytes: `./run bench micro`.
//!
//! Read the column "median" and divide by 256, or read the items a second.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, Divan};
use millstream::stages;
use millstream::stages::{CLOUDEVENT, EventFormat, Guest, Headers, Isolation, Lanes, Ordering, RECORDS};

fn main() {
    Divan::from_args().main();
}

#[divan::bench]
fn decode_plain(bencher: Bencher<'_, '_>) {
    decode(bencher, &[]);
}

#[divan::bench]
fn decode_cloudevent(bencher: Bencher<'_, '_>) {
    decode(bencher, CLOUDEVENT);
}

fn decode(bencher: Bencher<'_, '_>, headers: &Headers) {
    let mut arena = Vec::with_capacity(1 << 20);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| stages::decode_all(&mut arena, headers));
}

#[divan::bench(args = [1, 20, 256])]
fn lanes_by_key(bencher: Bencher<'_, '_>, keys: u64) {
    lanes(bencher, Ordering::Key, keys);
}

#[divan::bench]
fn lanes_by_partition(bencher: Bencher<'_, '_>) {
    lanes(bencher, Ordering::Partition, 20);
}

fn lanes(bencher: Bencher<'_, '_>, ordering: Ordering, keys: u64) {
    bencher
        .counter(ItemsCount::new(RECORDS))
        .with_inputs(|| (Lanes::new(ordering), stages::chunk(keys)))
        .bench_local_values(|(lanes, chunk)| stages::through_lanes(lanes, chunk));
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
    let guest = Guest::new(isolation, records);
    bencher.counter(ItemsCount::new(records)).bench_local(|| guest.call());
}

#[divan::bench]
fn encode_raw(bencher: Bencher<'_, '_>) {
    encode(bencher, "raw", EventFormat::Raw);
}

#[divan::bench]
fn encode_binary(bencher: Bencher<'_, '_>) {
    encode(bencher, "binary", EventFormat::Binary);
}

fn encode(bencher: Bencher<'_, '_>, format: &str, expected: EventFormat) {
    let (encoder, chunk, answer) = (stages::encoder(format, expected), Arc::new(stages::chunk(20)), stages::answer());
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| stages::encode_all(&encoder, &chunk, &answer));
}

#[divan::bench]
fn parse_record(bencher: Bencher<'_, '_>) {
    let chunk = stages::chunk(20);
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| stages::parse_all(&chunk));
}

#[divan::bench]
fn track(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(stages::track_all);
}

#[divan::bench]
fn offset_map(bencher: Bencher<'_, '_>) {
    let progress = stages::every_second(1000);
    bencher.bench_local(|| stages::map_there_and_back(&progress));
}
