//! What follows when Kafka refuses what is written: too large for its topic, together or alone.

use std::time::Duration;

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat, oracle, stays_so_for, wait_until};

const AT_LEAST_ONCE: &str = "processing_guarantee = \"at_least_once\"\n";
const EXACTLY_ONCE: &str = "processing_guarantee = \"exactly_once\"\n";

/// A dead letter that is too large even for its topic gives the reason why its record was dead-lettered, not that it was too large.
fn refer_to_what_is_too_large(stem: &str, guarantee: &str) {
    let fixture = HostFixture::new(stem, 1);
    let bootstrap = &fixture.kafka.bootstrap;
    fixture.kafka.create_topic_with(&fixture.dead(), 1, &["max.message.bytes=20000"]);
    let large = format!("trap:{}", "x".repeat(30_000));
    kcat::produce(bootstrap, &fixture.input, [("k".to_owned(), "ok:1".to_owned())]);
    kcat::produce_one(bootstrap, &fixture.input, Some("k"), &[("color", "red")], large.as_bytes());
    kcat::produce(bootstrap, &fixture.input, [("k".to_owned(), "ok:2".to_owned())]);
    fixture.deploy("faults", &format!("{guarantee}[retry]\nmax_attempts = 2\nbackoff = \"50ms\"\n"));
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let dead = kcat::read(bootstrap, &fixture.dead());
    assert_eq!(dead.len(), 1, "{dead:?}");
    let letter = &dead[0];
    assert_eq!((letter.key_text(), letter.value.as_ref().map(Vec::len).unwrap_or_default()), ("k", 0));
    let expected = [
        ("millstream-value-truncated", "true"),
        ("millstream-error-class", "trap"),
        ("millstream-attempts", "2"),
        ("millstream-topic", fixture.input.as_str()),
        ("millstream-partition", "0"),
        ("millstream-offset", "1"),
        ("color", "red"),
    ];
    for (name, value) in expected {
        assert_eq!(letter.header(name), Some(value), "{name}: {:?}", letter.headers);
    }
    assert!(letter.header("millstream-error-message").is_some_and(|message| message.contains("told to panic")));
    assert_eq!(kcat::read(bootstrap, &fixture.output).len(), 2);
    assert_eq!(fixture.host.client.counter(&fixture.name, "dead_lettered"), 1);
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
        let fixture = HostFixture::new(stem, 1);
        let bootstrap = &fixture.kafka.bootstrap;
        fixture.kafka.create_topic_with(&fixture.dead(), 1, &["max.message.bytes=100"]);
        kcat::produce(
            bootstrap,
            &fixture.input,
            ["ok:1", "trap", "ok:2"].map(|value| ("k".to_owned(), value.to_owned())),
        );
        fixture.deploy("faults", &format!("{guarantee}[retry]\nmax_attempts = 1\n"));
        wait_until("the host says what is wrong", PROGRESS, || {
            fixture.host.client.status(&fixture.name).to_string().contains("does not take")
                || fixture.host.log_tail().contains("refuses a dead letter")
        });
        stays_so_for("no dead letter is written", Duration::from_secs(2), || {
            kcat::read(bootstrap, &fixture.dead()).is_empty()
        });
        let partitions = fixture.kafka.group(&fixture.group());
        assert!(partitions.iter().all(|partition| partition.committed <= 1), "{guarantee}{partitions:?}");
    }
}

/// Batches of the usual size are larger than the topic takes, and no single message is.
fn keep_the_order_in_small_batches(stem: &str, guarantee: &str) {
    let fixture = HostFixture::new(stem, 1);
    let bootstrap = &fixture.kafka.bootstrap;
    fixture.kafka.create_topic_with(&fixture.output, 1, &["max.message.bytes=20000"]);
    let inputs: Vec<(String, String)> =
        oracle::inputs(5_000, 1).into_iter().map(|(key, value)| (key, format!("{value}{}", "x".repeat(100)))).collect();
    kcat::produce(bootstrap, &fixture.input, inputs.clone());
    fixture.deploy("uppercase", &format!("{guarantee}ordering = \"partition\"\n"));
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(bootstrap, &fixture.output);
    let findings = oracle::compare(&inputs, &outputs);
    assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0));
    assert_eq!(findings.out_of_order.len(), 0, "{:?}", findings.out_of_order.first());
    assert!(kcat::read(bootstrap, &fixture.dead()).is_empty());
    let log = fixture.host.log_tail();
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
