//! Many records through a function, in the order that was asked for.

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat, oracle};

const RECORDS: usize = 20_000;
const KEYS: usize = 50;
fn run(ordering: &str) -> (HostFixture, oracle::OutputFindings) {
    let fixture = HostFixture::new(ordering, 4);
    let inputs = oracle::inputs(RECORDS, KEYS);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, inputs.clone());
    fixture.deploy("uppercase", &format!("ordering = \"{ordering}\""));
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    assert!(outputs.iter().all(|record| record.text() == record.text().to_uppercase()));
    let findings = oracle::compare(&inputs, &outputs);
    assert!(findings.lost.is_empty(), "lost: {:?}", &findings.lost[..findings.lost.len().min(10)]);
    assert_eq!((findings.repeated, findings.foreign.len()), (0, 0));
    (fixture, findings)
}

fn assert_no_lag_by_kafkas_own_tool(fixture: &HostFixture) {
    let partitions = fixture.kafka.group(&fixture.group());
    assert_eq!(partitions.len(), 4, "{partitions:?}");
    assert!(partitions.iter().all(|partition| partition.committed == partition.end), "{partitions:?}");
    assert_eq!(partitions.iter().map(|partition| partition.end).sum::<i64>(), RECORDS as i64);
}

#[test]
fn key_order_is_kept_and_nothing_lags() {
    let (fixture, findings) = run("key");
    assert_eq!(findings.out_of_order, []);
    assert_no_lag_by_kafkas_own_tool(&fixture);
}

#[test]
fn partition_order_is_kept_and_nothing_lags() {
    let (fixture, findings) = run("partition");
    assert_eq!(findings.out_of_order, []);
    assert_no_lag_by_kafkas_own_tool(&fixture);
}

#[test]
fn without_order_nothing_is_lost_either() {
    let (fixture, _) = run("none");
    assert_no_lag_by_kafkas_own_tool(&fixture);
}

/// One partition, slow records, sixteen lanes: with `ordering = "none"` they sleep side by side. The small budget makes
/// the partition pause and resume.
#[test]
fn without_order_one_partition_uses_all_lanes() {
    let fixture = HostFixture::new("lanes", 1);
    let inputs = (0..400).map(|seq| ("k".to_owned(), format!("{{\"seq\"{}{seq}}}", '\u{3a}')));
    // kcat splits at the first colon, which is the key's.
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, inputs);
    fixture.deploy("sleepy", "ordering = \"none\"\nconcurrency = 16\n[delivery]\nin_flight = 50");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.output).len(), 400);
    // Instances are made when no idle one is left: as many as calls ran at once.
    let cold = fixture.host.client.counter(&fixture.name, "cold_starts");
    assert!(cold >= 8, "only {cold} lanes ran at once");
}
