//! L1: bounded hand-over between stages.

pub mod budget;
