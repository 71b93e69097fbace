//! Partitions that make no progress: the status names what blocks them, and a consumer that gives nothing is replaced.

use std::time::Duration;

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat, stays_so_for, wait_until};
use serde_json::{Value, json};

const SOON: (&str, &str) = ("MILLSTREAM_WATCHDOG__STALLED_AFTER", "2s");
const RESTARTED: &str = "its shard is restarted";

fn is_rebuilt(fixture: &HostFixture) -> usize {
    fixture.host.log_lines_with(RESTARTED)
}

#[track_caller]
fn wait_for_blocker(fixture: &HostFixture, why: &str) -> Value {
    let mut partition = Value::Null;
    wait_until("the status names what blocks", PROGRESS, || {
        partition = fixture.host.client.status(&fixture.name)["partitions"][0].clone();
        partition["blocked_by"]["why"] == why
    });
    partition
}

#[test]
fn a_retry_that_waits_is_named_and_nothing_is_started_anew_for_it() {
    let fixture = HostFixture::with("stalled-retry", 1, &[SOON]);
    let records = [("a", "retry"), ("a", "ok:behind"), ("b", "ok:beside")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, records);
    let retry = "[retry]\nmax_attempts = 2\nbackoff = \"300s\"\nbackoff_max = \"300s\"\n";
    fixture.deploy("faults", &format!("ordering = \"key\"\n{retry}"));
    let partition = wait_for_blocker(&fixture, "retry");
    let blocker = &partition["blocked_by"];
    assert_eq!((&blocker["offset"], &blocker["key"]), (&json!(0), &json!("a")), "{partition}");
    assert_eq!((&blocker["attempt"], &blocker["max_attempts"]), (&json!(2), &json!(2)), "{partition}");
    assert!(blocker["in_ms"].as_u64().is_some_and(|wait| wait > 200_000), "{partition}");
    assert!(partition["oldest_in_flight_ms"].as_u64().is_some_and(|age| age >= 1_000), "{partition}");
    assert!(partition["lag"].as_i64().is_some_and(|lag| lag > 0));

    let client = &fixture.host.client;
    let status = client.wait_until_stalled(&fixture.name, "attempt 2 of 2", PROGRESS);
    let place = format!("topic {}, partition 0", fixture.input);
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains(&place)), "{status}");
    let (code, ready) = client.ask("/readyz");
    assert_eq!((code, &ready["stalled"][0]["function"]), (200, &json!(fixture.name)));
    assert_eq!(client.ask("/readyz?strict=true").0, 503);
    let labels = format!("{{function=\"{}\",topic=\"{}\",partition=\"0\"}}", fixture.name, fixture.input);
    let metrics = client.get("/metrics");
    assert!(metrics.contains(&format!("millstream_partition_stalled{labels} 1\n")), "{metrics}");
    stays_so_for("the consumer is not rebuilt, and the record is not retried", Duration::from_secs(6), || {
        is_rebuilt(&fixture) == 0 && client.counter(&fixture.name, "retried") == 1
    });
}

#[test]
fn a_slow_guest_is_named_and_goes_on() {
    let fixture = HostFixture::with("stalled-guest", 1, &[SOON]);
    kcat::produce_one(&fixture.kafka.bootstrap, &fixture.input, None, &[], b"sleep");
    fixture.deploy("faults", "[limits]\ntimeout = \"12s\"\n[retry]\nmax_attempts = 1\n");
    let partition = wait_for_blocker(&fixture, "running");
    assert_eq!(partition["blocked_by"]["offset"], 0);
    fixture.host.client.wait_until_stalled(&fixture.name, "is in the guest", PROGRESS);
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    wait_until("it runs again", PROGRESS, || fixture.host.client.status(&fixture.name)["state"] == "running");
    assert_eq!(is_rebuilt(&fixture), 0);
    assert_eq!(fixture.host.client.counter(&fixture.name, "cold_starts"), 1);
}

/// A failpoint makes the first consumer give nothing.
#[test]
fn a_consumer_that_gives_nothing_is_replaced() {
    let failing = ("FAILPOINTS", "consumer::assigned=1*return(error)");
    let fixture = HostFixture::with("starved", 2, &[SOON, failing]);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, (0..100).map(|index| (format!("k{index}"), "ok".into())));
    fixture.deploy("faults", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.output).len(), 100);
    assert_eq!(fixture.host.log_lines_with("ERROR"), 1, "said once: {}", fixture.host.log_tail());
    wait_until("it runs again", PROGRESS, || fixture.host.client.status(&fixture.name)["state"] == "running");
}
