//! The broker is killed, or stopped in order, and comes back.

use millstream_tests::kafka::Kafka;
use millstream_tests::oracle::{self, Guarantee};

use super::stage::{Stage, long};
use super::trial::Trial;

for_both_guarantees!(broker_killed, broker_stopped);

fn broker_killed(guarantee: Guarantee) {
    bounced(guarantee, Kafka::kill);
}

fn broker_stopped(guarantee: Guarantee) {
    bounced(guarantee, Kafka::stop);
}

fn bounced(guarantee: Guarantee, end: impl Fn(&Kafka)) {
    let stage = Stage::fragile("bounced", guarantee, 8);
    let hosts = [stage.host(), stage.host()];
    stage.deploy(&hosts[0], "sleepy", "ordering = \"key\"\nconcurrency = 8", "");
    let rounds = if long() { 3 } else { 1 };
    let mut trial = Trial::start(&stage, oracle::json_inputs(rounds * 6_000, 100), 1_000);
    for round in 1..=rounds {
        trial.wait_for(round * 1_500);
        end(&stage.kafka);
        stage.kafka.start_again();
    }
    trial.finish(0);
}
