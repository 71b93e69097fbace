//! Cold and hot starts, and the life of instances.

use std::time::{Duration, Instant};

use millstream_tests::kcat;

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);

fn handle(setting: &Setting, count: usize) {
    let before = setting.host.client.counter(&setting.name, "succeeded");
    for _ in 0..count {
        kcat::produce_one(&setting.kafka.bootstrap, &setting.input, Some("k"), &[], b"ok");
    }
    millstream_tests::wait_until("the records are handled", LONG, || {
        setting.host.client.counter(&setting.name, "succeeded") == before + count as u64
    });
}

#[test]
fn a_shared_instance_is_used_again_until_it_was_idle_for_long() {
    let setting = Setting::new("warm", 1);
    setting.deploy("faults", "[instances]\nkeep_warm = \"1s\"\n");
    handle(&setting, 1);
    handle(&setting, 1);
    let counter = |name| setting.host.client.counter(&setting.name, name);
    assert_eq!((counter("cold_starts"), counter("hot_starts")), (1, 1));
    std::thread::sleep(Duration::from_secs(3));
    handle(&setting, 1);
    assert_eq!(counter("cold_starts"), 2, "it was put away");
}

#[test]
fn isolation_per_record_starts_one_each() {
    let setting = Setting::new("isolated", 1);
    kcat::produce(&setting.kafka.bootstrap, &setting.input, (0..10).map(|_| ("k".to_owned(), "count".to_owned())));
    setting.deploy("faults", "[instances]\nisolation = \"record\"\n");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let outputs = kcat::read(&setting.kafka.bootstrap, &setting.output);
    assert_eq!(outputs.len(), 10);
    assert!(outputs.iter().all(|record| record.text() == "1"), "each saw a fresh sandbox: {outputs:?}");
    assert_eq!(setting.host.client.counter(&setting.name, "cold_starts"), 10);
}

#[test]
fn another_platforms_starts_are_felt() {
    let setting = Setting::new("emulated", 1);
    setting.deploy("faults", "[instances]\nemulate = { cold = \"2s\", hot = \"300ms..400ms\" }\n");
    let cold = Instant::now();
    handle(&setting, 1);
    let cold = cold.elapsed();
    let hot = Instant::now();
    handle(&setting, 1);
    let hot = hot.elapsed();
    // Lower bounds only: what is emulated is a delay, what comes on top is the machine's.
    assert!(cold >= Duration::from_secs(2), "{cold:?}");
    assert!(hot >= Duration::from_millis(300), "{hot:?}");
}
