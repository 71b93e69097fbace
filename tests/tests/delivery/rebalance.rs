//! Hosts that join, leave and are killed while records are processed.

use std::time::{Duration, Instant};

use millstream_tests::fixture::FunctionFixture;
use millstream_tests::host::Host;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::rng::SeededRng;
use millstream_tests::{PROGRESS, is_long_run, wait_until};

use super::fault_run::FaultRun;

for_both_guarantees!(
    static_members_killed_in_turn,
    a_static_member_killed_while_it_gives_partitions_back,
    dynamic_members_killed_in_turn,
    hosts_join_and_leave,
    hosts_come_and_go_by_the_new_protocol,
);

const KEYS: usize = 200;

fn records() -> usize {
    30_000
}

/// Kills and restarts the `hosts` in turn, one every `pause`, until `enough`. Returns the number of kills and of new
/// outputs meanwhile.
fn kill_in_turn(
    run: &mut FaultRun<'_>,
    hosts: &mut [Host],
    pause: Duration,
    enough: impl Fn(&FaultRun<'_>, usize) -> bool,
) -> (usize, usize) {
    let mut rng = SeededRng::of_this_run();
    let before = run.reader.distinct();
    let mut kills = 0;
    while !enough(run, kills) {
        let host = &mut hosts[kills % 2];
        host.restart();
        kills += 1;
        // Varies the moment, so different runs hit different states.
        std::thread::sleep(rng.between(pause * 9 / 10, pause * 11 / 10));
    }
    (kills, run.reader.distinct() - before)
}

/// A killed member keeps its partitions and is back within its session, so outputs keep coming.
fn static_members_killed_in_turn(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("static", guarantee, 8);
    let mut hosts = [fixture.host(), fixture.host()];
    fixture.deploy(
        &hosts[0],
        "sleepy",
        "ordering = \"key\"\nconcurrency = 8",
        "[delivery]\nmembership = \"static\"\ncommit_interval = \"50ms\"",
    );
    both_work(&fixture, &hosts);
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(records(), KEYS), 2_000);
    run.wait_for(1);
    let all = records();
    let (kills, came) = kill_in_turn(&mut run, &mut hosts, Duration::from_secs(2), |run, kills| {
        // Until every input has an output, and at least six times.
        assert!(kills < 90, "{} of {all} records came out during {kills} kills", run.reader.distinct());
        kills >= 6 && run.reader.distinct() == all
    });
    println!("{kills} kills, {came} records came out during them");
    let report = run.finish(0);
    println!("{} repeated", report.repeated.len());
}

/// The restarted member gets its assignment without a rebalance, as if it had given its partitions back.
fn a_static_member_killed_while_it_gives_partitions_back(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("giving", guarantee, 8);
    let mut gives = fixture.host_with(fixture.options().with("FAILPOINTS", "consumer::giving-back=1*return(kill)"));
    fixture.deploy(
        &gives,
        "sleepy",
        "ordering = \"key\"\nconcurrency = 8",
        "[delivery]\nmembership = \"static\"\ncommit_interval = \"50ms\"",
    );
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(8_000, KEYS), 1_000);
    run.wait_for(1);
    let _takes = fixture.host();
    wait_until("it died over a rebalance", PROGRESS, || !gives.is_alive());
    gives.restart_without_failpoints();
    run.finish(0);
}

/// The partitions of a killed member wait until its session times out.
fn dynamic_members_killed_in_turn(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("dynamic", guarantee, 8);
    let mut hosts = [fixture.host(), fixture.host()];
    fixture.deploy(&hosts[0], "sleepy", "ordering = \"key\"\nconcurrency = 8", "");
    both_work(&fixture, &hosts);
    let kills = if is_long_run() { 6 } else { 2 };
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(records(), KEYS), 800 * 2 / kills.min(2));
    run.wait_for(1);
    let (_, came) = kill_in_turn(&mut run, &mut hosts, Duration::from_secs(20), |_, so_far| so_far == kills);
    assert!(came > 0, "outputs come between the kills");
    run.finish(0);
}

fn hosts_join_and_leave(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("join", guarantee, 8);
    let stays = fixture.host();
    fixture.deploy(&stays, "sleepy", "ordering = \"key\"\nconcurrency = 8", "");
    let rounds = if is_long_run() { 10 } else { 3 };
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(5_000 * rounds, KEYS), 1_000);
    run.wait_for(1);
    for _ in 0..rounds {
        let start = Instant::now();
        let guest = fixture.host();
        wait_until("the host that joined has its share", PROGRESS, || guest.client.partitions(&fixture.name) > 0);
        // It works for five seconds in all.
        std::thread::sleep(Duration::from_secs(5).saturating_sub(start.elapsed()));
        guest.terminate();
    }
    run.finish(0);
}

/// KIP-848: the broker assigns, member by member.
fn hosts_come_and_go_by_the_new_protocol(guarantee: Guarantee) {
    let fixture = FunctionFixture::new("protocol", guarantee, 8);
    let stays = fixture.host();
    let sections = "[kafka]\n\"group.protocol\" = \"consumer\"";
    fixture.deploy(&stays, "sleepy", "ordering = \"key\"\nconcurrency = 8", sections);
    let mut run = FaultRun::start(&fixture, oracle::json_inputs(12_000, KEYS), 500);
    run.wait_for(1);
    for leaves in [Host::terminate, Host::kill] {
        let guest = fixture.host();
        wait_until("the host that joined has its share", PROGRESS, || guest.client.partitions(&fixture.name) == 4);
        let before = guest.client.counter(&fixture.name, "succeeded");
        wait_until("it works", PROGRESS, || guest.client.counter(&fixture.name, "succeeded") > before);
        leaves(guest);
        wait_until("the other one has all back", PROGRESS, || stays.client.partitions(&fixture.name) == 8);
    }
    run.finish(0);
}

/// Waits until both hosts have half of the partitions.
#[track_caller]
fn both_work(fixture: &FunctionFixture, hosts: &[Host]) {
    wait_until("both hosts have partitions", PROGRESS, || {
        hosts.iter().all(|host| host.client.partitions(&fixture.name) == 4)
    });
}
