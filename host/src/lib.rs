//! Millstream: Wasm functions that a Kafka stream turns.
#![allow(missing_docs, reason = "skeleton")]

// L0
pub mod model;
// L1
pub mod config;
pub mod error_code;
pub mod flow;
pub mod shutdown;
pub mod telemetry;
// L2
pub mod kafka;
pub mod wasm;
// L3
pub mod commit;
pub mod consume;
pub mod dispatch;
pub mod emit;
pub mod invoke;
// L4
pub mod pipeline;
pub mod registry;
// L5
pub mod api;
// L6
pub mod app;
pub mod cli;
