//! An output topic cannot be written to: it is missing, or the broker that leads it is down.

use std::time::{Duration, Instant};

use millstream_tests::flow::Flow;
use millstream_tests::host::Host;
use millstream_tests::kafka::second;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::wait_until;

use super::stage::{OUTPUT_PARTITIONS, PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(output_topic_missing, leader_gone);

/// Small budgets, which are soon used up.
fn sections() -> String {
    "[limits]\noutput = \"64KiB\"\n[delivery]\nin_flight = 300\npending = \"256KiB\"".to_owned()
}

fn output_topic_missing(guarantee: Guarantee) {
    let stage = Stage::new("missing", guarantee, 4);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "ordering = \"key\"\nconcurrency = 8", &sections());
    let mut wire = stage.kafka.wire();
    wire.delete_topic(&stage.output).expect("it was there");
    let inputs = oracle::inputs(20_000, 50);
    let flow = Flow::start(&stage.kafka.bootstrap, &stage.input, inputs.clone(), 10_000);
    wait_until("all inputs are there", PROGRESS, || flow.is_over());
    assert_pauses(&stage, &host);
    wait_until("the status says what is missing", PROGRESS, || {
        host.client.status(&stage.name)["reason"].to_string().contains(&stage.output)
    });
    wire.create_topic(&stage.output, OUTPUT_PARTITIONS, &[]).expect("a new topic");
    Trial::around(&stage, &inputs, flow).finish(0);
}

/// The intake stops, and what is in memory is bounded.
#[track_caller]
fn assert_pauses(stage: &Stage, host: &Host) {
    let mut last = (0, Instant::now());
    wait_until("the intake pauses", PROGRESS, || {
        let received = host.client.counter(&stage.name, "received");
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
    let stage = Stage::fragile("leaderless", guarantee, 4);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "ordering = \"key\"\nconcurrency = 8", &sections());
    // By now the cluster's own topics are on the first broker; only the output goes to the second.
    let mut second = stage.kafka.second_broker();
    let mut wire = stage.kafka.wire();
    wire.delete_topic(&stage.output).expect("it was there");
    wait_until("the output is on the second broker", PROGRESS, || {
        wire.create_topic_on(&stage.output, OUTPUT_PARTITIONS, second::NUMBER).is_ok()
    });
    let mut trial = Trial::start(&stage, oracle::inputs(20_000, 50), 2_000);
    trial.wait_for(1_000);
    second.kill();
    assert_pauses(&stage, &host);
    second.start_again();
    trial.finish(0);
}
