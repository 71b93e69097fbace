//! Poison records: retries, dead letters, and the effect on neighbouring records.

use std::time::Duration;

use millstream_tests::fixture::HostFixture;
use millstream_tests::{PROGRESS, kcat};

const RETRY: &str = "[retry]\nmax_attempts = 3\nbackoff = \"100ms\"\n";

/// `poison` stands between `a-1` and `a-2` in the order of its scope.
fn with_poison(stem: &str, ordering: &str) -> HostFixture {
    let fixture = HostFixture::new(stem, 1);
    let bootstrap = &fixture.kafka.bootstrap;
    kcat::produce_one(bootstrap, &fixture.input, Some("a"), &[], b"ok:a-1");
    kcat::produce_one(bootstrap, &fixture.input, Some("a"), &[("color", "red"), ("color", "blue")], b"trap");
    kcat::produce(bootstrap, &fixture.input, [("a".to_owned(), "ok:a-2".to_owned())]);
    for index in 0..20 {
        kcat::produce(bootstrap, &fixture.input, [(format!("b{index}"), format!("ok:b-{index}"))]);
    }
    fixture.deploy("faults", &format!("ordering = \"{ordering}\"\n{RETRY}"));
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    fixture
}

fn assert_one_dead_letter(fixture: &HostFixture) {
    let dead = kcat::read(&fixture.kafka.bootstrap, &fixture.dead());
    assert_eq!(dead.len(), 1, "{dead:?}");
    let letter = &dead[0];
    assert_eq!((letter.key_text(), letter.text()), ("a", "trap"));
    let expected = [
        ("millstream-error-class", "trap"),
        ("millstream-attempts", "3"),
        ("millstream-topic", fixture.input.as_str()),
        ("millstream-partition", "0"),
        ("millstream-offset", "1"),
    ];
    for (name, value) in expected {
        assert_eq!(letter.header(name), Some(value), "{name}");
    }
    assert_eq!(letter.header("millstream-function"), Some(format!("{}@1", fixture.name).as_str()));
    assert!(letter.header("millstream-timestamp").is_some_and(|millis| millis.parse::<i64>().is_ok_and(|at| at > 0)));
    let message = letter.header("millstream-error-message").unwrap_or_default();
    assert!(message.contains("panicked"), "the guest's own words: {message}");
    let colors: Vec<_> =
        letter.headers.iter().filter(|(name, _)| name == "color").map(|(_, value)| value.as_str()).collect();
    assert_eq!(colors, ["red", "blue"], "the original headers, duplicates kept");
    let counter = |name| fixture.host.client.counter(&fixture.name, name);
    assert_eq!((counter("retried"), counter("dead_lettered"), counter("succeeded")), (2, 1, 22));
}

#[test]
fn a_poison_record_holds_up_its_key_only() {
    let fixture = with_poison("poison-key", "key");
    assert_one_dead_letter(&fixture);
    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    let place = |text: &str| outputs.iter().position(|record| record.text() == text).expect(text);
    assert_eq!(outputs.len(), 22);
    assert!(place("ok:a-1") < place("ok:a-2"), "the key's order is kept");
}

#[test]
fn a_poison_record_holds_up_its_partition_in_order() {
    let fixture = with_poison("poison-partition", "partition");
    assert_one_dead_letter(&fixture);
    assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.output).len(), 22);
}

/// While key `a` waits a long time for its retry, the others come out.
#[test]
fn other_keys_go_on_while_one_waits() {
    let fixture = HostFixture::new("parked", 1);
    let bootstrap = &fixture.kafka.bootstrap;
    kcat::produce(bootstrap, &fixture.input, [("a".to_owned(), "retry".to_owned()), ("a".into(), "ok:a-2".into())]);
    kcat::produce(bootstrap, &fixture.input, (0..20).map(|index| (format!("b{index}"), format!("ok:b-{index}"))));
    fixture
        .deploy("faults", "ordering = \"key\"\n[retry]\nmax_attempts = 2\nbackoff = \"30s\"\nbackoff_max = \"30s\"\n");
    let outputs = kcat::read_at_least(bootstrap, &fixture.output, 20, Duration::from_secs(30));
    assert!(outputs.iter().all(|record| record.text() != "ok:a-2"), "a-2 waits behind its key's retry");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(bootstrap, &fixture.output);
    assert!(outputs.iter().any(|record| record.text() == "ok:a-2"));
    let dead = kcat::read(bootstrap, &fixture.dead());
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].header("millstream-error-class"), Some("retry"));
}

#[test]
fn a_record_that_recovers_is_no_dead_letter() {
    let fixture = HostFixture::new("flaky", 1);
    kcat::produce_one(&fixture.kafka.bootstrap, &fixture.input, Some("a"), &[], b"flaky:3");
    fixture.deploy("faults", RETRY);
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.output).len(), 1);
    assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.dead()).len(), 0);
    assert_eq!(fixture.host.client.counter(&fixture.name, "retried"), 2);
}

/// A record that fails on the first revision succeeds on the second, which went live while it waited.
#[test]
fn a_fix_that_is_deployed_fixes_what_waits() {
    let fixture = HostFixture::new("fixed", 1);
    let bootstrap = &fixture.kafka.bootstrap;
    kcat::produce(bootstrap, &fixture.input, [("a".to_owned(), "retry".to_owned())]);
    let retry = "[retry]\nmax_attempts = 10\nbackoff = \"2s\"\nbackoff_max = \"2s\"\n";
    fixture.deploy("faults", retry);
    millstream_tests::wait_until("the first attempt failed", PROGRESS, || {
        fixture.host.client.counter(&fixture.name, "retried") > 0
    });
    fixture.deploy("uppercase", retry);
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let outputs = kcat::read(bootstrap, &fixture.output);
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    assert_eq!(outputs[0].text(), "RETRY");
    assert_eq!(outputs[0].header("ce_millstreamfunction"), Some(format!("{}@2", fixture.name).as_str()));
    assert!(kcat::read(bootstrap, &fixture.dead()).is_empty());
}

/// The same deploy again makes the topics that were deleted meanwhile.
#[test]
fn the_same_deploy_again_brings_topics_back() {
    let fixture = HostFixture::new("back", 1);
    fixture.deploy("uppercase", "");
    fixture.kafka.delete_topic(&fixture.dead());
    fixture.deploy("uppercase", "");
    assert!(fixture.kafka.has_topic(&fixture.dead()));
}
