//! L1: bounded hand-over between stages.

pub(crate) mod budget;
