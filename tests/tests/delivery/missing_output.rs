//! An output topic cannot be written to: it is missing, or its leader is down.

use std::time::{Duration, Instant};

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::host::Host;
use millstream_tests::kafka::second;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::paced_producer::PacedProducer;
use millstream_tests::{PROGRESS, wait_until};

use super::fault_run::FaultRun;

for_both_guarantees!(output_topic_missing, leader_gone);

/// Small budgets, so they are exhausted soon.
fn sections() -> String {
    "[limits]\noutput = \"64KiB\"\n[delivery]\nin_flight = 300\npending = \"256KiB\"".to_owned()
}

fn output_topic_missing(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("missing", guarantee, 4);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "ordering = \"key\"\nconcurrency = 8", &sections());
    let mut wire = fixture.kafka.wire();
    wire.delete_topic(&fixture.output).expect("it was there");
    let inputs = oracle::inputs(20_000, 50);
    let producer = PacedProducer::start(&fixture.kafka.bootstrap, &fixture.input, inputs.clone(), 10_000);
    wait_until("all inputs are there", PROGRESS, || producer.is_over());
    assert_pauses(&fixture, &host);
    wait_until("the status says what is missing", PROGRESS, || {
        host.client.status(&fixture.name)["reason"].to_string().contains(&fixture.output)
    });
    wire.create_topic(&fixture.output, FunctionFixture::OUTPUT_PARTITIONS, &[]).expect("a new topic");
    FaultRun::around(&fixture, &inputs, producer).finish(0);
}

/// Intake pauses, and memory stays bounded.
#[track_caller]
fn assert_pauses(fixture: &FunctionFixture, host: &Host) {
    let mut last = (0, Instant::now());
    wait_until("the intake pauses", PROGRESS, || {
        let received = host.client.counter(&fixture.name, "received");
        if received != last.0 {
            last = (received, Instant::now());
        }
        received > 0 && last.1.elapsed() > Duration::from_secs(1)
    });
    assert!(last.0 < 20_000, "{} records are in memory although nothing goes out", last.0);
    let mib = host.resident_bytes() / (1 << 20);
    assert!(mib < 300, "{mib} MiB while an output cannot be written to");
}

fn leader_gone(guarantee: Guarantee) {
    let fixture = FunctionFixture::fragile("leaderless", guarantee, 4);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "ordering = \"key\"\nconcurrency = 8", &sections());
    // By now the cluster's own topics are on the first broker; only the output goes to the second.
    let mut second = fixture.kafka.second_broker();
    let mut wire = fixture.kafka.wire();
    wire.delete_topic(&fixture.output).expect("it was there");
    wait_until("the output is on the second broker", PROGRESS, || {
        wire.create_topic_on(&fixture.output, FunctionFixture::OUTPUT_PARTITIONS, second::NUMBER).is_ok()
    });
    let mut run = FaultRun::start(&fixture, oracle::inputs(20_000, 50), 2_000);
    run.wait_for(1_000);
    second.kill();
    assert_pauses(&fixture, &host);
    second.start_again();
    run.finish(0);
}
