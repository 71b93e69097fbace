//! A host is killed at every step of a commit.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use millstream_tests::chance::Chance;
use millstream_tests::host::Host;
use millstream_tests::oracle::{self, Guarantee};

use super::stage::{PROGRESS, Stage};
use super::trial::Trial;

/// A test for each place where the committer of an exactly-once shard can be killed.
macro_rules! killed {
    ($($test:ident: $point:literal),+ $(,)?) => {$(
        #[test]
        fn $test() {
            killed_at($point);
        }
    )+};
}

killed! {
    host_killed_after_begin: "transaction::begun",
    host_killed_after_produce: "transaction::produced",
    host_killed_after_send_offsets: "transaction::offsets-sent",
    host_killed_before_commit: "transaction::before-commit",
    host_killed_during_commit: "transaction::during-commit",
    host_killed_after_commit: "transaction::after-commit",
}

const TOP: &str = "ordering = \"key\"\nconcurrency = 8";
const DELIVERY: &str = "[delivery]\nmembership = \"static\"\ncommit_interval = \"20ms\"";

fn killed_at(point: &str) {
    let stage = Stage::new("killed", Guarantee::ExactlyOnce, 4);
    let mut host = stage.host_with(stage.options().with("FAILPOINTS", &format!("{point}=6*off->1*return(kill)")));
    stage.deploy(&host, "uppercase", TOP, DELIVERY);
    let trial = Trial::start(&stage, oracle::inputs(3_000, 50), 1_000);
    let status = host.wait_for_end(PROGRESS);
    assert_eq!(status.signal(), Some(9), "it was killed at {point}");
    host.restart_without_failpoints();
    trial.finish(0);
}

/// A host that meets `failpoint` once while records flow, and the trial of what comes out.
fn with_failpoint<'a>(stage: &'a Stage, failpoint: &str) -> (Host, Trial<'a>) {
    let host = stage.host_with(stage.options().with("FAILPOINTS", failpoint));
    stage.deploy(&host, "uppercase", TOP, DELIVERY);
    (host, Trial::start(stage, oracle::inputs(3_000, 50), 1_000))
}

/// A defect of the host itself costs a shard its committer: it is started anew, and nobody has to help.
#[test]
fn committer_that_panics() {
    let stage = Stage::new("panicked", Guarantee::ExactlyOnce, 4);
    let (host, trial) = with_failpoint(&stage, "transaction::produced=6*off->1*panic(for a test)->off");
    trial.finish(0);
    assert_eq!(host.log_lines_with("a shard that can't go on is started anew"), 1, "{}", host.log_tail());
}

/// librdkafka may never answer when offsets are sent: its producer is left behind, and another of the same id goes on.
#[test]
fn producer_that_never_answers() {
    let stage = Stage::new("unanswering", Guarantee::ExactlyOnce, 4);
    let (host, trial) = with_failpoint(&stage, "transaction::sending-offsets=6*off->1*sleep(600000)->off");
    trial.finish(0);
    assert_eq!(host.log_lines_with("a transactional producer is replaced"), 1, "{}", host.log_tail());
}

/// The client that all at-least-once functions share may give up for good: another takes its place, in order.
#[test]
fn producer_that_gives_up() {
    let stage = Stage::new("given-up", Guarantee::AtLeastOnce, 4);
    let (host, mut trial) = with_failpoint(&stage, "producer::send=20*off->1*return(error)->off");
    trial.allow_late_writes();
    trial.finish(0);
    assert_eq!(host.log_lines_with("a producer gave up for good"), 1, "{}", host.log_tail());
}

/// At-least-once has no such steps: any moment will do.
#[test]
fn host_killed_at_any_moment() {
    let stage = Stage::new("killed", Guarantee::AtLeastOnce, 4);
    let mut host = stage.host();
    stage.deploy(&host, "uppercase", TOP, DELIVERY);
    let mut chance = Chance::of_this_run();
    let mut trial = Trial::start(&stage, oracle::inputs(6_000, 50), 1_000);
    for kill in 1..=4 {
        trial.wait_for(kill * 700);
        std::thread::sleep(chance.between(Duration::ZERO, Duration::from_millis(150)));
        host.restart();
    }
    trial.finish(0);
}
