use millstream_sdk::testing::{self, Outcome};

use super::*;

fn outcome(command: &str) -> Outcome {
    testing::event().key("k").data(command).run(faults)
}

#[test]
fn ok_comes_out_again() {
    assert_eq!(outcome("ok").assert_emitted(1).emission(0).text(), "ok");
}

#[test]
fn failures_say_why() {
    outcome("retry").assert_retry("told to");
    outcome("retry-after").assert_retry_after(Duration::from_millis(200));
    outcome("reject").assert_rejected("told to give up");
    outcome("dance").assert_rejected("no command \"dance\"");
    testing::event().data(b"\xff").run(faults).assert_rejected("utf-8");
}

#[test]
fn flaky_succeeds_in_the_end() {
    let attempt = |attempt| testing::event().data("flaky:3").attempt(attempt).run(faults);
    attempt(1).assert_retry("attempt 1 of 3");
    attempt(2).assert_retry("attempt 2 of 3");
    assert_eq!(attempt(3).emission(0).text(), "flaky:3");
    outcome("flaky:often").assert_rejected("invalid digit");
}

#[test]
fn an_output_is_only_a_name() {
    outcome("unknown-output").assert_output("nowhere");
}

#[test]
fn too_much_output_is_emitted_as_told() {
    let outcome = outcome("output");
    let bytes: usize = outcome.emissions().iter().filter_map(|emission| emission.data()).map(<[u8]>::len).sum();
    assert_eq!(bytes, 8 << 20);
}

#[test]
fn a_static_counts_calls_and_only_up() {
    let count = || outcome("count").emission(0).text().parse::<u64>().unwrap();
    assert!(count() < count());
}

#[test]
#[should_panic(expected = "told to panic")]
fn a_trap_is_a_panic() {
    outcome("trap");
}
