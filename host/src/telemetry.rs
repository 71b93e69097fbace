//! L1: what is counted and timed, and how it is shown.

pub mod function_metrics;
