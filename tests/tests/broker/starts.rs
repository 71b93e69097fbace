//! Cold and hot starts, and the life of instances.

use std::time::{Duration, Instant};

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat};

fn handle(fixture: &HostFixture, count: usize) {
    let before = fixture.host.client.counter(&fixture.name, "succeeded");
    for _ in 0..count {
        kcat::produce_one(&fixture.kafka.bootstrap, &fixture.input, Some("k"), &[], b"ok");
    }
    millstream_tests::wait_until("the records are handled", PROGRESS, || {
        fixture.host.client.counter(&fixture.name, "succeeded") == before + count as u64
    });
}

#[test]
fn a_shared_instance_is_used_again_until_it_was_idle_for_long() {
    let fixture = HostFixture::new("warm", 1);
    fixture.deploy("faults", "[instances]\nkeep_warm = \"1s\"\n");
    handle(&fixture, 1);
    handle(&fixture, 1);
    let counter = |name| fixture.host.client.counter(&fixture.name, name);
    assert_eq!((counter("cold_starts"), counter("hot_starts")), (1, 1));
    std::thread::sleep(Duration::from_secs(3));
    handle(&fixture, 1);
    assert_eq!(counter("cold_starts"), 2, "it was put away");
}

#[test]
fn isolation_per_record_starts_one_each() {
    let fixture = HostFixture::new("isolated", 1);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, (0..10).map(|_| ("k".to_owned(), "count".to_owned())));
    fixture.deploy("faults", "[instances]\nisolation = \"record\"\n");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    assert_eq!(outputs.len(), 10);
    assert!(outputs.iter().all(|record| record.text() == "1"), "each saw a fresh sandbox: {outputs:?}");
    assert_eq!(fixture.host.client.counter(&fixture.name, "cold_starts"), 10);
}

#[test]
fn another_platforms_starts_are_felt() {
    let fixture = HostFixture::new("emulated", 1);
    fixture.deploy("faults", "[instances]\nemulate = { cold = \"2s\", hot = \"300ms..400ms\" }\n");
    let cold = Instant::now();
    handle(&fixture, 1);
    let cold = cold.elapsed();
    let hot = Instant::now();
    handle(&fixture, 1);
    let hot = hot.elapsed();
    // Lower bounds only: what is emulated is a delay, what comes on top is the machine's.
    assert!(cold >= Duration::from_secs(2), "{cold:?}");
    assert!(hot >= Duration::from_millis(300), "{hot:?}");
}
