//! What an OpenTelemetry collector gets of a host: traces that foreign producers began, figures, and lines.

use millstream_tests::collector::{Collector, attributes, body, hex};
use millstream_tests::fixture::HostFixture;
use millstream_tests::process::free_port;
use millstream_tests::{PROGRESS, kcat, wait_until};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PRODUCER: &str = "00f067aa0ba902b7";
const REFUSED: &str = "the collector does not take telemetry";

/// The host of a test, which sends to `endpoint`.
fn exporting_host(stem: &str, endpoint: &str) -> HostFixture {
    let variables = [
        ("MILLSTREAM_OTLP__ENDPOINT", endpoint),
        ("MILLSTREAM_OTLP__METRICS_INTERVAL", "1s"),
        ("MILLSTREAM_OTLP__HEADERS", "env:COLLECTOR_HEADERS"),
        ("COLLECTOR_HEADERS", "authorization=Bearer of-the-collector"),
    ];
    HostFixture::with(stem, 1, &variables)
}

fn produce(fixture: &HostFixture, key: &str, traceparent: Option<&str>, value: &str) {
    let trace = traceparent.map(|traceparent| [("traceparent", traceparent), ("tracestate", "vendor=1")]);
    let headers = trace.as_ref().map(|trace| trace.as_slice()).unwrap_or_default();
    kcat::produce_one(&fixture.kafka.bootstrap, &fixture.input, Some(key), headers, value.as_bytes());
}

#[track_caller]
fn traceparent(record: &kcat::Record) -> &str {
    record.header("traceparent").expect("every emission has one")
}

fn id(span: &Span) -> String {
    hex(&span.span_id)
}

#[test]
fn a_producers_trace_is_seen_whole_across_two_functions() {
    let collector = Collector::start();
    let fixture = exporting_host("otlp", collector.endpoint());
    let (second, last) = (format!("{}-second", fixture.name), format!("{}.last", fixture.name));
    fixture.deploy("uppercase", "");
    let manifest = format!(
        "topics = [\"{}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{last}\" }}",
        fixture.output
    );
    fixture.host.client.deploy(&second, "uppercase", &manifest);

    let unsampled = "00-11111111111111111111111111111111-2222222222222222-00";
    produce(&fixture, "traced", Some(&format!("00-{TRACE}-{PRODUCER}-01")), "a");
    produce(&fixture, "unsampled", Some(unsampled), "b");
    produce(&fixture, "alone", None, "c");
    let bootstrap = &fixture.kafka.bootstrap;
    let ends = kcat::read_at_least(bootstrap, &last, 3, PROGRESS);
    let middles = kcat::read(bootstrap, &fixture.output);
    wait_until("the whole trace arrived", PROGRESS, || collector.given().trace(TRACE).len() == 2);
    let (name, input, output) = (fixture.name.clone(), fixture.input.clone(), fixture.output.clone());
    // What is left is sent at the end.
    fixture.host.terminate();

    let given = collector.given();
    let spans = given.trace(TRACE);
    let [of_first, of_second] = spans.as_slice() else { panic!("one span for each function: {spans:?}") };
    assert_eq!((hex(&of_first.parent_span_id).as_str(), hex(&of_second.parent_span_id)), (PRODUCER, id(of_first)));
    let of_key = |records: &[kcat::Record], key: &str| {
        let found = records.iter().find(|record| record.key_text() == key);
        found.unwrap_or_else(|| panic!("{key} in {records:?}")).clone()
    };
    // The parents in the records on Kafka are the spans that the collector received.
    let middle = of_key(&middles, "traced");
    assert_eq!(traceparent(&middle), format!("00-{TRACE}-{}-01", id(of_first)));
    assert_eq!(traceparent(&of_key(&ends, "traced")), format!("00-{TRACE}-{}-01", id(of_second)));
    assert_eq!(of_key(&ends, "traced").header("tracestate"), Some("vendor=1"));

    let places = [(0, 0), (middle.partition, middle.offset)];
    let functions = [(of_first, &input, &name), (of_second, &output, &second)];
    for ((span, topic, function), (partition, offset)) in functions.into_iter().zip(places) {
        assert_eq!((span.name.as_str(), span.kind()), (format!("process {topic}").as_str(), SpanKind::Consumer));
        assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
        assert_eq!((span.trace_state.as_str(), span.status.is_none()), ("vendor=1", true), "{span:?}");
        let attributes = attributes(&span.attributes);
        for (key, expected) in [
            ("faas.name", function.as_str()),
            ("faas.version", "1"),
            ("faas.trigger", "pubsub"),
            ("messaging.system", "kafka"),
            ("messaging.operation.type", "process"),
            ("messaging.destination.name", topic.as_str()),
            ("messaging.destination.partition.id", &partition.to_string()),
            ("messaging.kafka.offset", &offset.to_string()),
            ("messaging.kafka.message.key", "traced"),
            ("messaging.consumer.group.name", &format!("millstream.{function}")),
            ("millstream.attempt", "1"),
            ("millstream.outcome", "emitted"),
        ] {
            assert_eq!(attributes.get(key).map(String::as_str), Some(expected), "{key} of {attributes:?}");
        }
    }

    assert_eq!(given.spans.len(), 2, "no others were requested: {:?}", given.spans);
    let unsampled_end = of_key(&ends, "unsampled");
    assert!(traceparent(&unsampled_end).starts_with(&unsampled[..36]), "{unsampled_end:?}");
    for record in [unsampled_end, of_key(&ends, "alone")] {
        assert!(traceparent(&record).ends_with("-00"), "what is not recorded says so: {record:?}");
    }
}

#[test]
fn attempts_figures_and_lines_arrive() {
    let collector = Collector::start();
    let fixture = exporting_host("otlp-attempts", collector.endpoint());
    fixture.deploy("faults", "[retry]\nmax_attempts = 2\nbackoff = \"10ms\"\n");
    let other = "5bf92f3577b34da6a3ce929d0e0e4736";
    produce(&fixture, "k", Some(&format!("00-{TRACE}-{PRODUCER}-01")), "trap");
    kcat::read_at_least(&fixture.kafka.bootstrap, &fixture.dead(), 1, PROGRESS);
    produce(&fixture, "k", Some(&format!("00-{other}-{PRODUCER}-01")), "flaky:2");
    let emitted = &kcat::read_at_least(&fixture.kafka.bootstrap, &fixture.output, 1, PROGRESS)[0];
    let name = fixture.name.clone();
    fixture.host.terminate();
    let given = collector.given();

    let summary = |span: &Span| {
        let attributes = attributes(&span.attributes);
        let of = |key: &str| attributes.get(key).cloned().unwrap_or_default();
        let is_error = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
        (of("millstream.attempt"), of("millstream.outcome"), of("error.type"), is_error)
    };
    let row = |attempt: &str, outcome: &str, error: &str| {
        (attempt.to_owned(), outcome.to_owned(), error.to_owned(), !error.is_empty())
    };
    let trapped = given.trace(TRACE);
    let expected = [row("1", "retry", "trap"), row("2", "dead-letter", "trap")];
    assert_eq!(trapped.iter().map(summary).collect::<Vec<_>>(), expected, "{trapped:?}");
    let flaky = given.trace(other);
    let expected = [row("1", "retry", "retry"), row("2", "emitted", "")];
    assert_eq!(flaky.iter().map(summary).collect::<Vec<_>>(), expected, "{flaky:?}");
    assert!(flaky.iter().chain(&trapped).all(|span| hex(&span.parent_span_id) == PRODUCER), "all are of the record");
    assert_eq!(traceparent(emitted), format!("00-{other}-{}-01", id(&flaky[1])), "the attempt that emitted");

    // What the guest wrote when it panicked is of the attempt in which it did.
    let panics: Vec<_> = given.lines.iter().filter(|line| body(line).contains("told to panic")).collect();
    assert!(!panics.is_empty(), "{:?}", given.lines);
    for line in panics {
        assert_eq!(hex(&line.trace_id), TRACE, "{line:?}");
        assert!(trapped.iter().any(|span| span.span_id == line.span_id), "{line:?}");
        let attributes = attributes(&line.attributes);
        assert_eq!(attributes.get("function"), Some(&format!("{name}@1")), "{attributes:?}");
    }
    assert!(given.lines.iter().any(|line| body(line) == "millstream is listening" && line.severity_text == "INFO"));

    // The last figures are of the end.
    let succeeded = given.metrics.iter().rfind(|metric| metric.name == "millstream_records_succeeded_total");
    let Some(Data::Sum(sum)) = succeeded.and_then(|metric| metric.data.as_ref()) else {
        panic!("a sum: {succeeded:?}")
    };
    let point = &sum.data_points[0];
    assert_eq!((point.value, sum.is_monotonic), (Some(Value::AsInt(1)), true), "{succeeded:?}");
    assert_eq!(attributes(&point.attributes).get("function"), Some(&name));
    assert!(point.start_time_unix_nano > 0 && point.start_time_unix_nano < point.time_unix_nano, "{point:?}");
    let calls = given.metrics.iter().rfind(|metric| metric.name == "millstream_call_duration_seconds");
    let Some(Data::Histogram(calls)) = calls.and_then(|metric| metric.data.as_ref()) else { panic!("{calls:?}") };
    let calls = &calls.data_points[0];
    assert_eq!((calls.count, calls.bucket_counts.iter().sum::<u64>()), (4, 4), "{calls:?}");

    let (signals, resources): (Vec<_>, Vec<_>) = given.resources.into_iter().unzip();
    assert_eq!(signals.len(), 3, "one host, three signals: {resources:?}");
    for resource in resources {
        assert_eq!(resource.get("service.name").map(String::as_str), Some("millstream"));
        assert!(
            resource.contains_key("service.version") && !resource["service.instance.id"].is_empty(),
            "{resource:?}"
        );
    }
    assert!(given.authorizations.iter().all(|found| found == "Bearer of-the-collector"), "{:?}", given.authorizations);
}

#[test]
fn a_trace_begins_here_for_the_share_that_is_asked_for() {
    let collector = Collector::start();
    let endpoint = ("MILLSTREAM_OTLP__ENDPOINT", collector.endpoint());
    let fixture = HostFixture::with("otlp-ratio", 1, &[endpoint, ("MILLSTREAM_OTLP__TRACE_RATIO", "1")]);
    fixture.deploy("uppercase", "");
    produce(&fixture, "k", None, "a");
    let emitted = &kcat::read_at_least(&fixture.kafka.bootstrap, &fixture.output, 1, PROGRESS)[0];
    // A call with a trace context belongs to that trace.
    let called = format!("00-{TRACE}-{PRODUCER}-01");
    let path = format!("/v1/functions/{}/invoke", fixture.name);
    let headers = [("content-type", "text/plain"), ("traceparent", called.as_str())];
    let (status, answer) = fixture.host.client.send("POST", &path, &headers, "b");
    assert_eq!(status, 200, "{answer}");
    let name = fixture.name.clone();
    fixture.host.terminate();

    let given = collector.given();
    let [of_call] = given.trace(TRACE).try_into().unwrap_or_else(|spans: Vec<Span>| panic!("one span: {spans:?}"));
    assert_eq!(
        (of_call.name.as_str(), of_call.kind(), hex(&of_call.parent_span_id).as_str()),
        (name.as_str(), SpanKind::Server, PRODUCER)
    );
    assert_eq!(attributes(&of_call.attributes).get("faas.trigger").map(String::as_str), Some("http"));
    let of_record: Vec<_> = given.spans.iter().filter(|span| span.kind() == SpanKind::Consumer).collect();
    let [of_record] = of_record.as_slice() else { panic!("one span: {of_record:?}") };
    assert!(of_record.parent_span_id.is_empty(), "it is the first of its trace: {of_record:?}");
    assert_eq!(traceparent(emitted), format!("00-{}-{}-01", hex(&of_record.trace_id), id(of_record)));
}

#[test]
fn a_collector_that_is_down_or_mute_harms_nothing() {
    // Connections to it are taken, and nothing is ever answered.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute_endpoint = format!("http://{}", mute.local_addr().expect("an address"));
    for endpoint in [format!("http://127.0.0.1:{}", free_port()), mute_endpoint] {
        let fixture = exporting_host("otlp-down", &endpoint);
        let client = &fixture.host.client;
        fixture.deploy("uppercase", "");
        let sampled = format!("00-{TRACE}-{PRODUCER}-01");
        let records = (0..2000).map(|number| (format!("k{}", number % 7), format!("v{number}")));
        kcat::produce_with(&fixture.kafka.bootstrap, &fixture.input, &[("traceparent", &sampled)], records);
        client.wait_for_no_lag(&fixture.name, PROGRESS);
        let outputs = kcat::read_without_headers(&fixture.kafka.bootstrap, &fixture.output);
        assert_eq!(outputs.len(), 2000, "nothing waits for a collector");
        wait_until("figures are dropped, and counted", PROGRESS, || {
            let metrics = client.get("/metrics");
            let dropped = metrics.lines().find_map(|line| {
                line.strip_prefix("millstream_telemetry_dropped_total{signal=\"metrics\"} ")?.parse::<u64>().ok()
            });
            dropped.is_some_and(|dropped| dropped > 0)
        });
        for signal in ["traces", "metrics"] {
            let log = fixture.host.log();
            let said = log.lines().filter(|line| line.contains(REFUSED) && line.contains(signal)).count();
            assert!(said <= 1, "it is said once: {log}");
        }
        wait_until("it is said", PROGRESS, || fixture.host.log_lines_with(REFUSED) > 0);
        // It ends in time, with what could not be sent.
        fixture.host.terminate();
    }
}
