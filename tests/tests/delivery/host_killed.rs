//! A host is killed at every step of a commit.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use millstream_tests::PROGRESS;
use millstream_tests::fixture::FunctionFixture;
use millstream_tests::host::Host;
use millstream_tests::oracle::{self, Guarantee};
use millstream_tests::rng::SeededRng;

use super::fault_run::FaultRun;

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
    let fixture = FunctionFixture::new("killed", Guarantee::ExactlyOnce, 4);
    let mut host = fixture.host_with(fixture.options().with("FAILPOINTS", &format!("{point}=6*off->1*return(kill)")));
    fixture.deploy(&host, "uppercase", TOP, DELIVERY);
    let run = FaultRun::start(&fixture, oracle::inputs(3_000, 50), 1_000);
    let status = host.wait_for_end(PROGRESS);
    assert_eq!(status.signal(), Some(9), "it was killed at {point}");
    host.restart_without_failpoints();
    run.finish(0);
}

/// A host that reaches `failpoint` once during the run.
fn with_failpoint<'a>(fixture: &'a FunctionFixture, failpoint: &str) -> (Host, FaultRun<'a>) {
    let host = fixture.host_with(fixture.options().with("FAILPOINTS", failpoint));
    fixture.deploy(&host, "uppercase", TOP, DELIVERY);
    (host, FaultRun::start(fixture, oracle::inputs(3_000, 50), 1_000))
}

/// After a panic in the committer the shard restarts without an operator.
#[test]
fn committer_that_panics() {
    let fixture = FunctionFixture::new("panicked", Guarantee::ExactlyOnce, 4);
    let (host, run) = with_failpoint(&fixture, "transaction::produced=6*off->1*panic(for a test)->off");
    run.finish(0);
    assert_eq!(host.log_lines_with("a shard that can't continue is restarted"), 1, "{}", host.log_tail());
}

/// librdkafka may never return from sending offsets: its producer is abandoned, and another with the same id continues.
#[test]
fn producer_that_never_answers() {
    let fixture = FunctionFixture::new("unanswering", Guarantee::ExactlyOnce, 4);
    let (host, run) = with_failpoint(&fixture, "transaction::sending-offsets=6*off->1*sleep(600000)->off");
    run.finish(0);
    assert_eq!(host.log_lines_with("a transactional producer is replaced"), 1, "{}", host.log_tail());
}

/// After a fatal error of the client that all at-least-once functions share, another replaces it and keeps the order.
#[test]
fn producer_that_gives_up() {
    let fixture = FunctionFixture::new("given-up", Guarantee::AtLeastOnce, 4);
    let (host, mut run) = with_failpoint(&fixture, "producer::send=20*off->1*return(error)->off");
    run.allow_late_writes();
    run.finish(0);
    assert_eq!(host.log_lines_with("a producer failed for good"), 1, "{}", host.log_tail());
}

/// At-least-once has no such steps, so the moments are random.
#[test]
fn host_killed_at_any_moment() {
    let fixture = FunctionFixture::new("killed", Guarantee::AtLeastOnce, 4);
    let mut host = fixture.host();
    fixture.deploy(&host, "uppercase", TOP, DELIVERY);
    let mut rng = SeededRng::of_this_run();
    let mut run = FaultRun::start(&fixture, oracle::inputs(6_000, 50), 1_000);
    for kill in 1..=4 {
        run.wait_for(kill * 700);
        std::thread::sleep(rng.between(Duration::ZERO, Duration::from_millis(150)));
        host.restart();
    }
    run.finish(0);
}
