//! What functions used, told by the host that ran them, also after it was started again.

use std::time::Duration;

use millstream_tests::kcat;
use serde_json::Value;

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);

fn used(setting: &Setting) -> Value {
    let answer = setting.host.client.get(&format!("/v1/usage?function={}", setting.name));
    serde_json::from_str::<Value>(&answer).expect("JSON")["functions"][0].clone()
}

#[test]
fn usage_is_counted_and_outlives_the_host() {
    let mut setting = Setting::new("usage", 1);
    setting.deploy("uppercase", "");
    kcat::produce(
        &setting.kafka.bootstrap,
        &setting.input,
        (0..500).map(|number| ("k".to_owned(), format!("{number}"))),
    );
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let before = used(&setting);
    assert_eq!(before["invocations"], 500, "{before}");
    assert!(before["calls"].as_u64().is_some_and(|calls| (1..=500).contains(&calls)), "{before}");
    for amount in ["gb_seconds", "cpu_seconds", "wall_seconds"] {
        assert!(before[amount].as_f64().is_some_and(|amount| amount > 0.0), "{amount}: {before}");
    }
    assert!(before["cpu_seconds"].as_f64() <= before["wall_seconds"].as_f64(), "{before}");
    assert!(before["bytes_in"].as_u64().is_some_and(|bytes| bytes > 500), "{before}");
    let metrics = setting.host.client.get("/metrics");
    let line = format!("millstream_invocations_total{{function=\"{}\"}} 500", setting.name);
    assert!(metrics.lines().any(|found| found.starts_with(&line)), "{line} is not in\n{metrics}");

    // Asking wrote it down: not even a power cut takes it away.
    setting.host.restart();
    setting.host.wait_until_ready();
    let after = used(&setting);
    assert_eq!((&after["invocations"], &after["bytes_out"]), (&before["invocations"], &before["bytes_out"]), "{after}");
    let csv = setting.host.client.get(&format!("/v1/usage?function={}&format=csv", setting.name));
    assert!(csv.lines().nth(1).is_some_and(|line| line.starts_with(&format!("{},", setting.name))), "{csv}");
}
