//! The broker is killed or shut down cleanly, and restarts.

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::is_long_run;
use millstream_tests::kafka::Kafka;
use millstream_tests::oracle::{self, Guarantee};

use super::fault_run::FaultRun;

for_both_guarantees!(broker_killed, broker_stopped);

fn broker_killed(guarantee: Guarantee) {
    bounced(guarantee, Kafka::kill);
}

fn broker_stopped(guarantee: Guarantee) {
    bounced(guarantee, Kafka::stop);
}

fn bounced(guarantee: Guarantee, end: impl Fn(&Kafka)) {
    let fixture = FunctionFixture::fragile("bounced", guarantee, 8);
    let hosts = [fixture.host(), fixture.host()];
    fixture.deploy(&hosts[0], "sleepy", "ordering = \"key\"\nconcurrency = 8", "");
    let rounds = if is_long_run() { 3 } else { 1 };
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(rounds * 6_000, 100), 1_000);
    for round in 1..=rounds {
        run.wait_for(round * 1_500);
        end(&fixture.kafka);
        fixture.kafka.start_again();
    }
    run.finish(0);
}
