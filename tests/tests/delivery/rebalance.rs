//! Hosts that come, go and die while records flow.

use std::time::{Duration, Instant};

use millstream_tests::chance::Chance;
use millstream_tests::host::Host;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::wait_until;

use super::stage::{PROGRESS, Stage, long};
use super::trial::Trial;

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

/// Kills one of `hosts` after the other, every `pause`, and starts it again at once, until `enough`. Gives how many
/// died, and how many new outputs came while they did.
fn kill_in_turn(
    trial: &mut Trial<'_>,
    hosts: &mut [Host],
    pause: Duration,
    enough: impl Fn(&Trial<'_>, usize) -> bool,
) -> (usize, usize) {
    let mut chance = Chance::of_this_run();
    let before = trial.watch.distinct();
    let mut kills = 0;
    while !enough(trial, kills) {
        let host = &mut hosts[kills % 2];
        host.restart();
        kills += 1;
        // A little earlier or later each time, so that over the runs every moment has its turn.
        std::thread::sleep(chance.between(pause * 9 / 10, pause * 11 / 10));
    }
    (kills, trial.watch.distinct() - before)
}

/// The killed one keeps its place in the group and is back within its session: output goes on all the while.
fn static_members_killed_in_turn(guarantee: Guarantee) {
    let stage = Stage::new("static", guarantee, 8);
    let mut hosts = [stage.host(), stage.host()];
    stage.deploy(
        &hosts[0],
        "sleepy",
        "ordering = \"key\"\nconcurrency = 8",
        "[delivery]\nmembership = \"static\"\ncommit_interval = \"50ms\"",
    );
    both_work(&stage, &hosts);
    let mut trial = Trial::start(&stage, oracle::json_inputs(records(), KEYS), 2_000);
    trial.wait_for(1);
    let all = records();
    let (kills, came) = kill_in_turn(&mut trial, &mut hosts, Duration::from_secs(2), |trial, kills| {
        // Until everything came out, whatever is killed meanwhile; and no fewer than six times.
        assert!(kills < 90, "{} of {all} records came out during {kills} kills", trial.watch.distinct());
        kills >= 6 && trial.watch.distinct() == all
    });
    println!("{kills} kills, {came} records came out during them");
    let verdict = trial.finish(0);
    println!("{} repeated", verdict.repeated.len());
}

/// The one that is started again is given its place without a rebalance, as if it had given back what it was to.
fn a_static_member_killed_while_it_gives_partitions_back(guarantee: Guarantee) {
    let stage = Stage::new("giving", guarantee, 8);
    let mut gives = stage.host_with(stage.options().with("FAILPOINTS", "consumer::giving-back=1*return(kill)"));
    stage.deploy(
        &gives,
        "sleepy",
        "ordering = \"key\"\nconcurrency = 8",
        "[delivery]\nmembership = \"static\"\ncommit_interval = \"50ms\"",
    );
    let mut trial = Trial::start(&stage, oracle::json_inputs(8_000, KEYS), 1_000);
    trial.wait_for(1);
    let _takes = stage.host();
    wait_until("it died over a rebalance", PROGRESS, || !gives.is_alive());
    gives.restart_without_failpoints();
    trial.finish(0);
}

/// Nobody keeps a place: what the killed one had waits until its session is over.
fn dynamic_members_killed_in_turn(guarantee: Guarantee) {
    let stage = Stage::new("dynamic", guarantee, 8);
    let mut hosts = [stage.host(), stage.host()];
    stage.deploy(&hosts[0], "sleepy", "ordering = \"key\"\nconcurrency = 8", "");
    both_work(&stage, &hosts);
    let kills = if long() { 6 } else { 2 };
    let mut trial = Trial::start(&stage, oracle::json_inputs(records(), KEYS), 800 * 2 / kills.min(2));
    trial.wait_for(1);
    let (_, came) = kill_in_turn(&mut trial, &mut hosts, Duration::from_secs(20), |_, so_far| so_far == kills);
    assert!(came > 0, "output goes on between the kills");
    trial.finish(0);
}

fn hosts_join_and_leave(guarantee: Guarantee) {
    let stage = Stage::new("join", guarantee, 8);
    let stays = stage.host();
    stage.deploy(&stays, "sleepy", "ordering = \"key\"\nconcurrency = 8", "");
    let rounds = if long() { 10 } else { 3 };
    let mut trial = Trial::start(&stage, oracle::json_inputs(5_000 * rounds, KEYS), 1_000);
    trial.wait_for(1);
    for _ in 0..rounds {
        let start = Instant::now();
        let guest = stage.host();
        wait_until("the host that joined has its share", PROGRESS, || guest.client.partitions(&stage.name) > 0);
        // It works for five seconds in all.
        std::thread::sleep(Duration::from_secs(5).saturating_sub(start.elapsed()));
        guest.terminate();
    }
    trial.finish(0);
}

/// KIP-848: the broker assigns, member by member.
fn hosts_come_and_go_by_the_new_protocol(guarantee: Guarantee) {
    let stage = Stage::new("protocol", guarantee, 8);
    let stays = stage.host();
    let sections = "[kafka]\n\"group.protocol\" = \"consumer\"";
    stage.deploy(&stays, "sleepy", "ordering = \"key\"\nconcurrency = 8", sections);
    let mut trial = Trial::start(&stage, oracle::json_inputs(12_000, KEYS), 500);
    trial.wait_for(1);
    for leaves in [Host::terminate, Host::kill] {
        let guest = stage.host();
        wait_until("the host that joined has its share", PROGRESS, || guest.client.partitions(&stage.name) == 4);
        let before = guest.client.counter(&stage.name, "succeeded");
        wait_until("it works", PROGRESS, || guest.client.counter(&stage.name, "succeeded") > before);
        leaves(guest);
        wait_until("the other one has all back", PROGRESS, || stays.client.partitions(&stage.name) == 8);
    }
    trial.finish(0);
}

/// Waits until both hosts have their share.
#[track_caller]
fn both_work(stage: &Stage, hosts: &[Host]) {
    wait_until("both hosts have partitions", PROGRESS, || {
        hosts.iter().all(|host| host.client.partitions(&stage.name) == 4)
    });
}
