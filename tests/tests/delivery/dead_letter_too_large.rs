//! A record so large that its dead letter does not fit.

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::oracle::Guarantee;
use millstream_tests::{PROGRESS, kcat, wait_until};

for_both_guarantees!(dead_letter_too_large);

fn dead_letter_too_large(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("too-large-dead", guarantee, 1);
    let mut wire = fixture.kafka.wire();
    wire.delete_topic(&fixture.dead()).expect("it was there");
    wire.create_topic(&fixture.dead(), 1, &[("max.message.bytes", "2000")]).expect("a new topic");
    let host = fixture.host();
    fixture.deploy(&host, "faults", "", "");
    let large = format!("reject:{}", "x".repeat(20_000));
    for value in ["ok:1", large.as_str(), "ok:2", "reject:small", "ok:3"] {
        kcat::produce_one(&fixture.kafka.bootstrap, &fixture.input, Some("k"), &[], value.as_bytes());
    }
    wait_until("all is committed", PROGRESS, || {
        let found = wire.committed(&fixture.group()).expect("the broker answers");
        found.get(&(fixture.input.clone(), 0)).is_some_and(|committed| committed.offset == 5)
    });
    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    let texts: Vec<_> = outputs.iter().map(|record| record.text()).collect();
    assert_eq!(texts, ["ok:1", "ok:2", "ok:3"]);
    let dead = kcat::read(&fixture.kafka.bootstrap, &fixture.dead());
    assert_eq!(dead.len(), 2, "{dead:?}");
    let of = |offset: &str| {
        let found = dead.iter().find(|letter| letter.header("millstream-offset") == Some(offset));
        found.unwrap_or_else(|| panic!("offset {offset} has a dead letter: {dead:?}"))
    };
    let (referring, whole) = (of("1"), of("3"));
    assert_eq!(referring.value.as_deref().unwrap_or_default(), b"", "the value did not fit");
    assert_eq!(referring.header("millstream-value-truncated"), Some("true"));
    assert_eq!(referring.header("millstream-topic"), Some(fixture.input.as_str()));
    assert_eq!(referring.key_text(), "k");
    assert_eq!((whole.header("millstream-value-truncated"), whole.text()), (None, "reject:small"));
}
