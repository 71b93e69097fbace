//! An output topic cannot be written to.

use millstream_tests::flow::Flow;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::wait_until;

use super::stage::{OUTPUT_PARTITIONS, PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(row_5_output_topic_missing);

const IN_FLIGHT: u64 = 300;

fn row_5_output_topic_missing(guarantee: Guarantee) {
    let stage = Stage::new("missing", guarantee, 4);
    let host = stage.host();
    stage.deploy(
        &host,
        "uppercase",
        "ordering = \"key\"\nconcurrency = 8",
        &format!("[limits]\noutput = \"64KiB\"\n[delivery]\nin_flight = {IN_FLIGHT}\npending = \"256KiB\""),
    );
    let mut wire = stage.kafka.wire();
    wire.delete_topic(&stage.output).expect("it was there");
    let inputs = oracle::inputs(20_000, 50);
    let flow = Flow::start(&stage.kafka.bootstrap, &stage.input, inputs.clone(), 10_000);
    wait_until("all inputs are there", PROGRESS, || flow.is_over());
    wait_until("the intake pauses", PROGRESS, || {
        let before = host.client.counter(&stage.name, "received");
        std::thread::sleep(std::time::Duration::from_secs(1));
        before > 0 && host.client.counter(&stage.name, "received") == before
    });
    let received = host.client.counter(&stage.name, "received");
    assert!(received < 20_000, "{received} records are in memory although nothing goes out");
    let mib = host.resident_bytes() / (1 << 20);
    assert!(mib < 300, "{mib} MiB while an output is missing");
    wait_until("the status says what is missing", PROGRESS, || {
        host.client.status(&stage.name)["reason"].to_string().contains(&stage.output)
    });
    wire.create_topic(&stage.output, OUTPUT_PARTITIONS, &[]).expect("a new topic");
    Trial::around(&stage, &inputs, flow).finish(0);
}
