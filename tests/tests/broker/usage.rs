//! The resource usage of functions, as the host that ran them reports it, also after a restart.

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat};
use serde_json::Value;

fn used(fixture: &HostFixture) -> Value {
    let answer = fixture.host.client.get(&format!("/v1/usage?function={}", fixture.name));
    serde_json::from_str::<Value>(&answer).expect("JSON")["functions"][0].clone()
}

#[test]
fn usage_is_counted_and_outlives_the_host() {
    let mut fixture = HostFixture::new("usage", 1);
    fixture.deploy("uppercase", "");
    kcat::produce(
        &fixture.kafka.bootstrap,
        &fixture.input,
        (0..500).map(|number| ("k".to_owned(), format!("{number}"))),
    );
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let before = used(&fixture);
    assert_eq!(before["invocations"], 500, "{before}");
    assert!(before["calls"].as_u64().is_some_and(|calls| (1..=500).contains(&calls)), "{before}");
    for amount in ["gb_seconds", "cpu_seconds", "wall_seconds"] {
        assert!(before[amount].as_f64().is_some_and(|amount| amount > 0.0), "{amount}: {before}");
    }
    assert!(before["cpu_seconds"].as_f64() <= before["wall_seconds"].as_f64(), "{before}");
    assert!(before["bytes_in"].as_u64().is_some_and(|bytes| bytes > 500), "{before}");
    let metrics = fixture.host.client.get("/metrics");
    let line = format!("millstream_invocations_total{{function=\"{}\"}} 500", fixture.name);
    assert!(metrics.lines().any(|found| found.starts_with(&line)), "{line} is not in\n{metrics}");

    // Asking wrote it down: not even a power cut takes it away.
    fixture.host.restart();
    fixture.host.wait_until_ready();
    let after = used(&fixture);
    assert_eq!((&after["invocations"], &after["bytes_out"]), (&before["invocations"], &before["bytes_out"]), "{after}");
    let csv = fixture.host.client.get(&format!("/v1/usage?function={}&format=csv", fixture.name));
    assert!(csv.lines().nth(1).is_some_and(|line| line.starts_with(&format!("{},", fixture.name))), "{csv}");
}
