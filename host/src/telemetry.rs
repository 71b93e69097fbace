//! L1: what is counted and timed, and how it is shown.

pub(crate) mod exposition;
pub(crate) mod function_metrics;
pub(crate) mod guest_lines;
pub(crate) mod logs;
pub(crate) mod otlp;
pub(crate) mod usage;
