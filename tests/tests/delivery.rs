//! Delivery guarantees while hosts, brokers, topics and networks fail. `delivery/README.md` lists the faults, what must hold
//! under each, and the file that tests it. Most tests run for both guarantees.

/// Runs `$test` for each guarantee, as two tests.
macro_rules! for_both_guarantees {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use millstream_tests::oracle::Guarantee;

            #[test]
            fn at_least_once() {
                super::$test(Guarantee::AtLeastOnce);
            }

            #[test]
            fn exactly_once() {
                super::$test(Guarantee::ExactlyOnce);
            }
        }
    )+};
}

mod delivery {
    mod broker_restart;
    mod clock_jump;
    mod dead_letter_too_large;
    mod dead_letters_unavailable;
    mod deploys_under_load;
    mod fault_run;
    mod host_killed;
    mod lost_answers;
    mod missing_output;
    mod offset_map_damaged;
    mod output_too_large;
    mod poison_record;
    mod rebalance;
    mod seeds;
    mod slow_guest_revoked;
    mod stalled_partition;
    mod stop_without_kafka;
    mod topic_changed;
    mod zombie;
}
