//! A host is halted while another takes over its partitions, and then continues: a zombie.

use std::time::{Duration, Instant};

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::host::Host;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::{PROGRESS, wait_until};

use super::fault_run::FaultRun;

const TOP: &str = "ordering = \"key\"\nconcurrency = 8";
const SHORT: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_secs(60);

/// `delay` is how long the zombie's committer stays behind its rejoining consumer.
fn halted_between_produce_and_offsets(halted_for: Duration, delay_ms: u64) {
    let fixture = FunctionFixture::new("zombie", Guarantee::ExactlyOnce, 8);
    let failpoint = format!("transaction::produced=20*off->1*return(stop,{delay_ms})");
    let zombie = fixture.host_with(fixture.options().with("FAILPOINTS", &failpoint));
    let other = fixture.host();
    fixture.deploy(&zombie, "uppercase", TOP, "");
    comes_back(&fixture, &zombie, &other, halted_for, |zombie| {
        wait_until("the failpoint halts the host", PROGRESS, || zombie.is_halted());
    });
}

#[test]
fn zombie_at_least_once() {
    let fixture = FunctionFixture::new("zombie", Guarantee::AtLeastOnce, 8);
    let (zombie, other) = (fixture.host(), fixture.host());
    fixture.deploy(&zombie, "uppercase", TOP, "");
    comes_back(&fixture, &zombie, &other, SHORT, Host::halt);
}

#[test]
fn zombie_at_once() {
    halted_between_produce_and_offsets(SHORT, 0);
}

#[test]
fn zombie_with_a_late_committer() {
    halted_between_produce_and_offsets(SHORT, 1_000);
}

#[test]
#[ignore = "long: `./run test --long` runs it"]
fn zombie_of_every_kind() {
    for halted_for in [SHORT, LONG] {
        for delay in [0, 50, 1_000, 8_000] {
            halted_between_produce_and_offsets(halted_for, delay);
        }
    }
}

fn comes_back(fixture: &FunctionFixture, zombie: &Host, other: &Host, halted_for: Duration, halt: impl FnOnce(&Host)) {
    wait_until("both hosts have partitions", PROGRESS, || {
        [zombie, other].iter().all(|host| host.client.partitions(&fixture.name) == 4)
    });
    let per_second = 200;
    let count = (halted_for.as_secs() as usize + 8) * per_second;
    let mut run = FaultRun::start(fixture, oracle::inputs(count, 100), per_second);
    run.allow_late_writes();
    run.wait_for(100);
    halt(zombie);
    let since = Instant::now();
    wait_until("the other host has all partitions", PROGRESS, || other.client.partitions(&fixture.name) == 8);
    std::thread::sleep(halted_for.saturating_sub(since.elapsed()));
    zombie.resume();
    wait_until("the zombie is a member again", PROGRESS, || zombie.client.partitions(&fixture.name) > 0);
    run.finish(0);
}
