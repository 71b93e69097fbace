//! L1: what is counted and timed, and how it is shown.

pub mod exposition;
pub mod function_metrics;
pub mod guest_lines;
pub mod logs;
pub mod otlp;
pub mod usage;
