//! One stage of the host, for `./run instructions` to count the instructions of: unlike time, they are the same on a busy
//! machine as on a quiet one. `scripts/instructions.sh` runs it under valgrind, once for each name that `list` prints.

use std::hint::black_box;
use std::sync::Arc;

use millstream::stages;
use millstream::stages::{CLOUDEVENT, EventFormat, Guest, Headers, Isolation, Lanes, Ordering};

/// The names, each with how many records its work is of.
const STAGES: [(&str, usize); 10] = [
    ("decode-plain", stages::RECORDS),
    ("decode-cloudevent", stages::RECORDS),
    ("lanes-by-key", stages::RECORDS),
    ("lanes-by-partition", stages::RECORDS),
    ("call-hot", stages::RECORDS),
    ("encode-raw", stages::RECORDS),
    ("encode-binary", stages::RECORDS),
    ("parse-record", stages::RECORDS),
    ("track", stages::RECORDS),
    ("offset-map", 1000),
];

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("list") => STAGES.iter().for_each(|(name, records)| println!("{name} {records}")),
        Some(stage) => run(stage),
        // As `cargo test` runs benches: nothing is to be measured.
        None => {}
    }
}

fn run(stage: &str) {
    match stage {
        "decode-plain" => decode(&[]),
        "decode-cloudevent" => decode(CLOUDEVENT),
        "lanes-by-key" => lanes(Ordering::Key),
        "lanes-by-partition" => lanes(Ordering::Partition),
        "call-hot" => call(),
        "encode-raw" => encode("raw", EventFormat::Raw),
        "encode-binary" => encode("binary", EventFormat::Binary),
        "parse-record" => {
            let chunk = stages::chunk(20);
            counted(|| stages::parse_all(&chunk));
        }
        "track" => _ = counted(stages::track_all),
        "offset-map" => {
            let progress = stages::every_second(1000);
            counted(|| stages::map_there_and_back(&progress));
        }
        other => {
            eprintln!("no such stage: {other}");
            std::process::exit(2);
        }
    }
}

/// Valgrind counts from here on, and no further.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

fn decode(headers: &Headers) {
    let mut arena = Vec::with_capacity(1 << 20);
    counted(|| stages::decode_all(&mut arena, headers));
}

fn lanes(ordering: Ordering) {
    let (lanes, chunk) = (Lanes::new(ordering), stages::chunk(20));
    counted(|| stages::through_lanes(lanes, chunk));
}

fn call() {
    let guest = Guest::new(Isolation::Shared, stages::RECORDS);
    (0..3).for_each(|_| guest.call());
    counted(|| guest.call());
}

fn encode(format: &str, expected: EventFormat) {
    let (encoder, chunk, answer) = (stages::encoder(format, expected), Arc::new(stages::chunk(20)), stages::answer());
    counted(|| stages::encode_all(&encoder, &chunk, &answer));
}
