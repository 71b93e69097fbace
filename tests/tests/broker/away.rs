//! Kafka is not there yet, goes away, and comes back; and topics that the host may not make.

use millstream_tests::client::module;
use millstream_tests::fixture::HostFixture;
use millstream_tests::host::{Host, HostOptions};
use millstream_tests::kafka::Kafka;
use millstream_tests::{SLOW_PROGRESS, kcat, wait_until};

/// From the first start without a broker to the records that come after an outage.
#[test]
fn a_host_outlives_its_kafka() {
    let kafka = Kafka::start_fragile();
    kafka.create_topic("away.in", 2);
    kafka.stop();

    let mut host = Host::launch(HostOptions::new(&kafka.bootstrap, "away"), tempfile::tempdir().expect("a folder"));
    wait_until("the host listens", SLOW_PROGRESS, || host.client.is_healthy());
    let (status, problem) = host.client.ask("/readyz");
    assert_eq!((status, problem["code"].as_str()), (503, Some("MS0302")), "{problem}");
    let manifest =
        "name = \"away\"\ntopics = [\"away.in\"]\ninitial_offset = \"earliest\"\n[outputs]\ndefault = \"away.out\"";
    let (status, problem) = host.client.put("away", manifest, module("uppercase"));
    assert_eq!((status, problem["code"].as_str()), (503, Some("MS0302")), "{problem}");
    wait_until("it says what it waits for", SLOW_PROGRESS, || {
        host.log_lines_with(&format!("the registry waits: kafka at {} cannot be reached", kafka.bootstrap)) == 1
    });

    kafka.start_again();
    host.wait_until_ready();
    let (status, answer) = host.client.put("away", manifest, module("uppercase"));
    assert_eq!((status, answer["state"].as_str()), (201, Some("running")), "{answer}");
    let produce = |from: usize| {
        let records = (from..from + 500).map(|index| (format!("k{}", index % 7), format!("v{index}")));
        kcat::produce(&kafka.bootstrap, "away.in", records);
    };
    produce(0);
    wait_until("records come out", SLOW_PROGRESS, || host.client.counter("away", "succeeded") > 0);
    kafka.stop();
    wait_until("readiness falls", SLOW_PROGRESS, || {
        let (status, problem) = host.client.ask("/readyz");
        status == 503 && problem["code"] == "MS0301"
    });
    assert!(host.client.is_healthy(), "a restart would not mend it");
    wait_until("it says so", SLOW_PROGRESS, || host.log_lines_with("kafka does not answer; functions wait") == 1);
    assert!(host.is_alive());

    kafka.start_again();
    produce(500);
    host.wait_until_ready();
    host.client.wait_for_no_lag("away", SLOW_PROGRESS);
    let outputs = kcat::read_without_headers(&kafka.bootstrap, "away.out");
    let distinct: std::collections::BTreeSet<_> = outputs.iter().map(|record| record.text().to_owned()).collect();
    assert_eq!(distinct.len(), 1000, "nothing is lost");
    wait_until("it says that Kafka is back", SLOW_PROGRESS, || host.log_lines_with("kafka answers again") == 1);
}

#[test]
fn missing_topics_are_named_where_none_may_be_made() {
    let fixture = HostFixture::with("no-topics", 1, &[("MILLSTREAM_TOPICS__CREATE", "false")]);
    let (name, input, output) = (&fixture.name, &fixture.input, &fixture.output);
    let manifest = format!("name = \"{name}\"\ntopics = [\"{input}\"]\noutputs = {{ default = \"{output}\" }}");
    let deploy = || fixture.host.client.put(name, &manifest, module("uppercase"));
    let (status, problem) = deploy();
    assert_eq!((status, problem["code"].as_str()), (409, Some("MS0303")), "{problem}");
    for words in [output.as_str(), &fixture.dead(), "topics.create"] {
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{words}: {problem}");
    }
    assert!(!fixture.kafka.has_topic(output));
    fixture.kafka.create_topic(output, 1);
    fixture.kafka.create_topic(&fixture.dead(), 1);
    let (status, answer) = deploy();
    assert_eq!((status, answer["state"].as_str()), (201, Some("running")), "{answer}");
}
