//! The network delays or loses answers: what was done, nobody can tell.

use std::time::{Duration, Instant};

use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::proxy::{Direction, Harm, Request};
use millstream_tests::wait_until;

use super::stage::{PROGRESS, Stage};
use super::trial::Trial;

for_both_guarantees!(
    commit_answer_delayed,
    commit_answer_lost,
    commit_answer_held_back,
    produce_answer_lost,
    broker_falls_silent,
);

/// What tells Kafka that offsets are done.
fn commit_of(guarantee: Guarantee) -> Request {
    match guarantee {
        Guarantee::AtLeastOnce => Request::OFFSET_COMMIT,
        Guarantee::ExactlyOnce => Request::END_TXN,
    }
}

/// Lets `harm` do its work while records flow, heals the network, and judges.
fn under(guarantee: Guarantee, stem: &str, seconds: usize, harm: impl FnOnce(&Stage)) {
    let stage = Stage::fragile(stem, guarantee, 4);
    let host = stage.host();
    stage.deploy(&host, "uppercase", "ordering = \"key\"\nconcurrency = 8", "");
    let mut trial = Trial::start(&stage, oracle::inputs(seconds * 500, 50), 500);
    trial.wait_for(300);
    harm(&stage);
    stage.kafka.proxy.heal();
    trial.finish(0);
}

#[track_caller]
fn wait_for_harm(stage: &Stage, before: usize, count: usize) {
    wait_until("answers are harmed", PROGRESS, || stage.kafka.proxy.harmed() >= before + count);
}

fn commit_answer_delayed(guarantee: Guarantee) {
    under(guarantee, "delayed", 8, |stage| {
        let before = stage.kafka.proxy.harmed();
        stage.kafka.proxy.harm(commit_of(guarantee), Harm::Delay(Duration::from_millis(1_500)));
        wait_for_harm(stage, before, 3);
    });
}

fn commit_answer_lost(guarantee: Guarantee) {
    under(guarantee, "lost", 8, |stage| {
        for request in [commit_of(guarantee), Request::TXN_OFFSET_COMMIT] {
            if guarantee == Guarantee::AtLeastOnce && request == Request::TXN_OFFSET_COMMIT {
                continue;
            }
            let before = stage.kafka.proxy.harmed();
            stage.kafka.proxy.harm_next(3, request, Harm::Lose);
            wait_for_harm(stage, before, 3);
            stage.kafka.proxy.heal();
        }
    });
}

/// Longer than a transaction may last.
fn commit_answer_held_back(guarantee: Guarantee) {
    under(guarantee, "held", 14, |stage| {
        let before = stage.kafka.proxy.harmed();
        stage.kafka.proxy.harm_next(1, commit_of(guarantee), Harm::Hold);
        wait_for_harm(stage, before, 1);
        std::thread::sleep(Duration::from_secs(12));
    });
}

fn produce_answer_lost(guarantee: Guarantee) {
    under(guarantee, "unacknowledged", 6, |stage| {
        let before = stage.kafka.proxy.harmed();
        stage.kafka.proxy.harm_next(3, Request::PRODUCE, Harm::Lose);
        wait_for_harm(stage, before, 3);
    });
}

/// Nothing comes back for longer than a member may be silent: it must not act as one afterwards.
fn broker_falls_silent(guarantee: Guarantee) {
    under(guarantee, "silent", 18, |stage| {
        let start = Instant::now();
        stage.kafka.proxy.hold(Direction::Out);
        std::thread::sleep(Duration::from_secs(15).saturating_sub(start.elapsed()));
    });
}
