//! What follows when Kafka refuses what is written: too large for its topic, together or alone.

use std::time::Duration;

use millstream_tests::{kcat, oracle, wait_until};

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);
const AT_LEAST_ONCE: &str = "processing_guarantee = \"at_least_once\"\n";
const EXACTLY_ONCE: &str = "processing_guarantee = \"exactly_once\"\n";

/// A dead letter that is too large even for its topic says why its record was dead-lettered, not that it was too large.
fn refer_to_what_is_too_large(stem: &str, guarantee: &str) {
    let setting = Setting::new(stem, 1);
    let bootstrap = &setting.kafka.bootstrap;
    setting.kafka.create_topic_with(&setting.dead(), 1, &["max.message.bytes=20000"]);
    let large = format!("trap:{}", "x".repeat(30_000));
    kcat::produce(bootstrap, &setting.input, [("k".to_owned(), "ok:1".to_owned())]);
    kcat::produce_one(bootstrap, &setting.input, Some("k"), &[("color", "red")], large.as_bytes());
    kcat::produce(bootstrap, &setting.input, [("k".to_owned(), "ok:2".to_owned())]);
    setting.deploy("faults", &format!("{guarantee}[retry]\nmax_attempts = 2\nbackoff = \"50ms\"\n"));
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let dead = kcat::read(bootstrap, &setting.dead());
    assert_eq!(dead.len(), 1, "{dead:?}");
    let letter = &dead[0];
    assert_eq!((letter.key_text(), letter.value.as_ref().map(Vec::len).unwrap_or_default()), ("k", 0));
    let expected = [
        ("millstream-value-truncated", "true"),
        ("millstream-error-class", "trap"),
        ("millstream-attempts", "2"),
        ("millstream-topic", setting.input.as_str()),
        ("millstream-partition", "0"),
        ("millstream-offset", "1"),
        ("color", "red"),
    ];
    for (name, value) in expected {
        assert_eq!(letter.header(name), Some(value), "{name}: {:?}", letter.headers);
    }
    assert!(letter.header("millstream-error-message").is_some_and(|message| message.contains("told to panic")));
    assert_eq!(kcat::read(bootstrap, &setting.output).len(), 2);
    assert_eq!(setting.host.client.counter(&setting.name, "dead_lettered"), 1);
}

#[test]
fn a_dead_letter_that_is_too_large_becomes_a_reference() {
    refer_to_what_is_too_large("reference", AT_LEAST_ONCE);
}

#[test]
fn a_dead_letter_that_is_too_large_becomes_a_reference_exactly_once() {
    refer_to_what_is_too_large("exact-reference", EXACTLY_ONCE);
}

/// Not even a reference fits: the record must wait, for as long as it takes.
#[test]
fn the_watermark_waits_for_the_dead_letter() {
    for (stem, guarantee) in [("no-dead", AT_LEAST_ONCE), ("exact-no-dead", EXACTLY_ONCE)] {
        let setting = Setting::new(stem, 1);
        let bootstrap = &setting.kafka.bootstrap;
        setting.kafka.create_topic_with(&setting.dead(), 1, &["max.message.bytes=100"]);
        kcat::produce(
            bootstrap,
            &setting.input,
            ["ok:1", "trap", "ok:2"].map(|value| ("k".to_owned(), value.to_owned())),
        );
        setting.deploy("faults", &format!("{guarantee}[retry]\nmax_attempts = 1\n"));
        wait_until("the host says what is wrong", LONG, || {
            setting.host.client.status(&setting.name).to_string().contains("does not take")
                || setting.host.log_tail().contains("refuses a dead letter")
        });
        std::thread::sleep(Duration::from_secs(2));
        let partitions = setting.kafka.group(&setting.group());
        assert!(partitions.iter().all(|partition| partition.committed <= 1), "{guarantee}{partitions:?}");
        assert!(kcat::read(bootstrap, &setting.dead()).is_empty());
    }
}

/// Batches of the usual size are larger than the topic takes, and no single message is.
fn keep_the_order_in_small_batches(stem: &str, guarantee: &str) {
    let setting = Setting::new(stem, 1);
    let bootstrap = &setting.kafka.bootstrap;
    setting.kafka.create_topic_with(&setting.output, 1, &["max.message.bytes=20000"]);
    let inputs: Vec<(String, String)> =
        oracle::inputs(5_000, 1).into_iter().map(|(key, value)| (key, format!("{value}{}", "x".repeat(100)))).collect();
    kcat::produce(bootstrap, &setting.input, inputs.clone());
    setting.deploy("uppercase", &format!("{guarantee}ordering = \"partition\"\n"));
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let outputs = kcat::read(bootstrap, &setting.output);
    let findings = oracle::compare(&inputs, &outputs);
    assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0));
    assert_eq!(findings.out_of_order.len(), 0, "{:?}", findings.out_of_order.first());
    assert!(kcat::read(bootstrap, &setting.dead()).is_empty());
    let log = setting.host.log_tail();
    assert!(!log.contains("not delivered") && !log.contains("did not go through"), "no batch was refused: {log}");
}

#[test]
fn small_batches_keep_the_order() {
    keep_the_order_in_small_batches("small", AT_LEAST_ONCE);
}

#[test]
fn small_batches_keep_the_order_exactly_once() {
    keep_the_order_in_small_batches("exact-small", EXACTLY_ONCE);
}
