//! All faults at random. One seed by default, twenty with `MILLSTREAM_TEST_LONG`.

use std::time::Duration;

use millstream_tests::fault_proxy::{ProxyFault, RequestKind};
use millstream_tests::fixture::FunctionFixture;
use millstream_tests::host::Host;
use millstream_tests::is_long_run;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::rng::{self, SeededRng};

use super::fault_run::FaultRun;

for_both_guarantees!(whatever_breaks);

const SEEDS: u64 = 20;
const KEYS: usize = 200;

#[derive(Debug, Clone, Copy)]
enum Fault {
    HostKilled,
    HostHalted,
    BrokerKilled,
    BrokerStopped,
    ConnectionsCut,
    CommitAnswerLost,
    ProduceAnswerLost,
    AnswersLate,
}

const FAULTS: [Fault; 8] = [
    Fault::HostKilled,
    Fault::HostHalted,
    Fault::BrokerKilled,
    Fault::BrokerStopped,
    Fault::ConnectionsCut,
    Fault::CommitAnswerLost,
    Fault::ProduceAnswerLost,
    Fault::AnswersLate,
];

fn whatever_breaks(guarantee: Guarantee) {
    let (runs, records, faults) = if is_long_run() { (SEEDS, 30_000, 10) } else { (1, 8_000, 4) };
    let first = rng::seed_of_this_run();
    for seed in first..first + runs {
        println!("seed {seed}: MILLSTREAM_TEST_SEED={seed} reproduces this run");
        one_seed(guarantee, SeededRng::new(seed), records, faults);
    }
}

fn one_seed(guarantee: Guarantee, mut rng: SeededRng, records: usize, faults: usize) {
    let fixture = FunctionFixture::fragile("seed", guarantee, 8);
    let mut hosts = [fixture.host(), fixture.host()];
    fixture.deploy(
        &hosts[0],
        "sleepy",
        "ordering = \"key\"\nconcurrency = 8",
        "[delivery]\nmembership = \"static\"\ncommit_interval = \"50ms\"",
    );
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(records, KEYS), 1_000);
    run.allow_late_writes();
    run.allow_late_commits();
    run.wait_for(1);
    for _ in 0..faults {
        std::thread::sleep(rng.between(Duration::from_millis(300), Duration::from_secs(2)));
        let fault = *rng.choose(&FAULTS);
        let host = rng.below(2) as usize;
        let lasts = rng.between(Duration::from_millis(100), Duration::from_secs(3));
        println!("{fault:?}, host {host}, {lasts:?}");
        happen(fault, &fixture, &mut hosts[host], lasts);
    }
    run.finish(0);
}

fn happen(fault: Fault, fixture: &FunctionFixture, host: &mut Host, lasts: Duration) {
    let proxy = &fixture.kafka.proxy;
    let under = |request: RequestKind, harm: ProxyFault| {
        proxy.inject(request, harm);
        std::thread::sleep(lasts);
        proxy.heal();
    };
    match fault {
        Fault::HostKilled => host.restart(),
        Fault::HostHalted => {
            host.halt();
            std::thread::sleep(lasts);
            host.resume();
        }
        Fault::BrokerKilled => {
            fixture.kafka.kill();
            fixture.kafka.start_again();
        }
        Fault::BrokerStopped => {
            fixture.kafka.stop();
            fixture.kafka.start_again();
        }
        Fault::ConnectionsCut => proxy.cut(),
        Fault::CommitAnswerLost => under(
            match fixture.guarantee {
                Guarantee::AtLeastOnce => RequestKind::OFFSET_COMMIT,
                Guarantee::ExactlyOnce => RequestKind::END_TXN,
            },
            ProxyFault::Lose,
        ),
        Fault::ProduceAnswerLost => under(RequestKind::PRODUCE, ProxyFault::Lose),
        Fault::AnswersLate => under(RequestKind::PRODUCE, ProxyFault::Delay(Duration::from_millis(700))),
    }
}
