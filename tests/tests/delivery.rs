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
    mod row_1;
    mod row_2;
    mod row_22;
    mod row_23;
    mod row_24;
    mod row_26;
    mod row_27;
    mod row_28;
    mod row_29;
    mod row_3;
    mod row_4;
    mod row_5;
    mod row_7;
    mod row_8;
    mod row_9;
    mod seeds;
    mod stage;
    mod trial;
}
