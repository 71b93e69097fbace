//! Guests that keep memory between calls.

use std::time::Duration;

use millstream_flat::{AnswerWriter, EmissionFields};
use millstream_tests::kcat;

use millstream_tests::fixture::HostFixture;

const LONG: Duration = Duration::from_secs(90);
const RECORDS: usize = 200;

/// A guest that keeps another MiB with each call, traps when it gets none, and otherwise emits one event.
fn leaking_guest() -> Vec<u8> {
    let mut answer = AnswerWriter::new();
    answer.begin_emitted();
    answer.emission(&EmissionFields { data: Some(b"done"), ..EmissionFields::default() });
    answer.end_emitted();
    let answer = answer.finish();
    let escaped: String = answer.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let length = answer.len();
    let text = format!(
        r#"(component
            (core module $m
                (memory (export "memory") 2)
                (data (i32.const 1024) "{escaped}")
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
                (func (export "handle") (param i32 i32) (result i32)
                    (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
                    (i32.store (i32.const 16) (i32.const 1024))
                    (i32.store (i32.const 20) (i32.const {length}))
                    (i32.const 16)))
            (core instance $i (instantiate $m))
            (alias core export $i "memory" (core memory $memory))
            (alias core export $i "realloc" (core func $realloc))
            (func $lifted (param "input" (list u8)) (result (list u8))
                (canon lift (core func $i "handle") (memory $memory) (realloc $realloc)))
            (instance $e (export "handle" (func $lifted)))
            (export "millstream:function/batch@0.1.0" (instance $e)))"#
    );
    wat::parse_str(text).expect("valid text")
}

#[test]
fn what_earlier_calls_kept_makes_no_dead_letters() {
    let fixture = HostFixture::new("leaks", 1);
    let bootstrap = fixture.kafka.bootstrap.clone();
    kcat::produce(&bootstrap, &fixture.input, (0..RECORDS).map(|number| ("k".to_owned(), format!("n{number}"))));
    let more = "concurrency = 1\n[delivery]\nbatch_size = 1\n[limits]\nmemory = \"16MiB\"\n[retry]\nmax_attempts = 1\n";
    let manifest = format!("name = \"{}\"\n{}", fixture.name, fixture.manifest(more));
    let (status, answer) = fixture.host.client.put(&fixture.name, &manifest, leaking_guest());
    assert_eq!(status, 201, "{answer}");
    fixture.host.client.wait_for_no_lag(&fixture.name, LONG);

    assert_eq!(kcat::read(&bootstrap, &fixture.output).len(), RECORDS, "each record is emitted once");
    assert_eq!(kcat::read(&bootstrap, &fixture.dead()).len(), 0, "no record is to blame");
    let metrics = fixture.host.client.get("/metrics");
    let recycled = format!("millstream_recycled_instances_total{{function=\"{}\"}} ", fixture.name);
    let recycled = metrics.lines().find_map(|line| line.strip_prefix(&recycled)).expect("the metric is shown");
    assert!(recycled.parse::<u64>().expect("a count") >= 3, "{recycled}");
    let counter = |name: &str| fixture.host.client.counter(&fixture.name, name);
    assert_eq!(
        (counter("succeeded"), counter("retried")),
        (RECORDS as u64, 0),
        "a fresh instance is no further attempt"
    );
    let status = fixture.host.client.status(&fixture.name);
    let reason = status["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("keeps memory between calls"), "{status}");
    assert_eq!(status["state"], "running", "{status}");
}
