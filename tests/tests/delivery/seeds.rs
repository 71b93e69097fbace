//! Everything at once, as chance will have it. One seed by default, twenty with `MILLSTREAM_TEST_LONG`.

use std::time::Duration;

use millstream_tests::chance::{self, Chance};
use millstream_tests::host::Host;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::proxy::{Harm, Request};

use super::stage::{Stage, long};
use super::trial::Trial;

for_both_guarantees!(whatever_breaks);

const SEEDS: u64 = 20;
const KEYS: usize = 200;

/// What may happen next.
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
    let (runs, records, faults) = if long() { (SEEDS, 30_000, 10) } else { (1, 8_000, 4) };
    let first = chance::seed_of_this_run();
    for seed in first..first + runs {
        println!("seed {seed}: MILLSTREAM_TEST_SEED={seed} does the same again");
        one_seed(guarantee, Chance::new(seed), records, faults);
    }
}

fn one_seed(guarantee: Guarantee, mut chance: Chance, records: usize, faults: usize) {
    let stage = Stage::fragile("seed", guarantee, 8);
    let mut hosts = [stage.host(), stage.host()];
    stage.deploy(
        &hosts[0],
        "sleepy",
        "ordering = \"key\"\nconcurrency = 8",
        "[delivery]\nmembership = \"static\"\ncommit_interval = \"50ms\"",
    );
    let mut trial = Trial::start(&stage, oracle::json_inputs(records, KEYS), 1_000);
    trial.allow_late_writes();
    trial.allow_late_commits();
    trial.wait_for(1);
    for _ in 0..faults {
        std::thread::sleep(chance.between(Duration::from_millis(300), Duration::from_secs(2)));
        let fault = *chance.one_of(&FAULTS);
        let host = chance.below(2) as usize;
        let lasts = chance.between(Duration::from_millis(100), Duration::from_secs(3));
        println!("{fault:?}, host {host}, {lasts:?}");
        happen(fault, &stage, &mut hosts[host], lasts);
    }
    trial.finish(0);
}

fn happen(fault: Fault, stage: &Stage, host: &mut Host, lasts: Duration) {
    let proxy = &stage.kafka.proxy;
    let under = |request: Request, harm: Harm| {
        proxy.harm(request, harm);
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
            stage.kafka.kill();
            stage.kafka.start_again();
        }
        Fault::BrokerStopped => {
            stage.kafka.stop();
            stage.kafka.start_again();
        }
        Fault::ConnectionsCut => proxy.cut(),
        Fault::CommitAnswerLost => under(
            match stage.guarantee {
                Guarantee::AtLeastOnce => Request::OFFSET_COMMIT,
                Guarantee::ExactlyOnce => Request::END_TXN,
            },
            Harm::Lose,
        ),
        Fault::ProduceAnswerLost => under(Request::PRODUCE, Harm::Lose),
        Fault::AnswersLate => under(Request::PRODUCE, Harm::Delay(Duration::from_millis(700))),
    }
}
