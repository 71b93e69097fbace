//! The network delays or loses answers: the client cannot know what the broker did.

use std::time::{Duration, Instant};

use millstream_tests::fault_proxy::{Direction, ProxyFault, RequestKind};
use millstream_tests::fixture::FunctionFixture;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::{PROGRESS, wait_until};

use super::fault_run::FaultRun;

for_both_guarantees!(
    commit_answer_delayed,
    commit_answer_lost,
    commit_answer_held_back,
    produce_answer_lost,
    broker_falls_silent,
);

/// The request that commits offsets.
fn commit_of(guarantee: Guarantee) -> RequestKind {
    match guarantee {
        Guarantee::AtLeastOnce => RequestKind::OFFSET_COMMIT,
        Guarantee::ExactlyOnce => RequestKind::END_TXN,
    }
}

/// Injects faults while records are processed, heals the network, and checks the run.
fn under(guarantee: Guarantee, stem: &str, seconds: usize, harm: impl FnOnce(&FunctionFixture)) {
    let fixture = FunctionFixture::fragile(stem, guarantee, 4);
    let host = fixture.host();
    fixture.deploy(&host, "uppercase", "ordering = \"key\"\nconcurrency = 8", "");
    let mut run = FaultRun::start(&fixture, oracle::inputs(seconds * 500, 50), 500);
    run.wait_for(300);
    harm(&fixture);
    fixture.kafka.proxy.heal();
    run.finish(0);
}

#[track_caller]
fn wait_for_changed_responses(fixture: &FunctionFixture, before: usize, count: usize) {
    wait_until("responses are changed", PROGRESS, || fixture.kafka.proxy.changed_responses() >= before + count);
}

fn commit_answer_delayed(guarantee: Guarantee) {
    under(guarantee, "delayed", 8, |fixture| {
        let before = fixture.kafka.proxy.changed_responses();
        fixture.kafka.proxy.inject(commit_of(guarantee), ProxyFault::Delay(Duration::from_millis(1_500)));
        wait_for_changed_responses(fixture, before, 3);
    });
}

fn commit_answer_lost(guarantee: Guarantee) {
    under(guarantee, "lost", 8, |fixture| {
        for request in [commit_of(guarantee), RequestKind::TXN_OFFSET_COMMIT] {
            if guarantee == Guarantee::AtLeastOnce && request == RequestKind::TXN_OFFSET_COMMIT {
                continue;
            }
            let before = fixture.kafka.proxy.changed_responses();
            fixture.kafka.proxy.inject_next(3, request, ProxyFault::Lose);
            wait_for_changed_responses(fixture, before, 3);
            fixture.kafka.proxy.heal();
        }
    });
}

/// Longer than a transaction may last.
fn commit_answer_held_back(guarantee: Guarantee) {
    under(guarantee, "held", 14, |fixture| {
        let before = fixture.kafka.proxy.changed_responses();
        fixture.kafka.proxy.inject_next(1, commit_of(guarantee), ProxyFault::Hold);
        wait_for_changed_responses(fixture, before, 1);
        std::thread::sleep(Duration::from_secs(12));
    });
}

fn produce_answer_lost(guarantee: Guarantee) {
    under(guarantee, "unacknowledged", 6, |fixture| {
        let before = fixture.kafka.proxy.changed_responses();
        fixture.kafka.proxy.inject_next(3, RequestKind::PRODUCE, ProxyFault::Lose);
        wait_for_changed_responses(fixture, before, 3);
    });
}

/// No answer arrives for longer than the session timeout: the host must not act as a member afterwards.
fn broker_falls_silent(guarantee: Guarantee) {
    under(guarantee, "silent", 18, |fixture| {
        let start = Instant::now();
        fixture.kafka.proxy.hold(Direction::Out);
        std::thread::sleep(Duration::from_secs(15).saturating_sub(start.elapsed()));
    });
}
