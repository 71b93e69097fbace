//! What is promised of delivery, while hosts, brokers, topics and networks fail. Each fault that the project survives has
//! a number; `row_…` names it. Most tests hold for both guarantees, so they run for both.

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
    mod rebalance;
    mod stage;
    mod trial;
}
