//! Millstream: Wasm functions that a Kafka stream turns.
//!
//! A host consumes topics, runs sandboxed functions on their records, and writes what they emit to output topics.
//!
//! ```text
//!          poller thread                  runtime: `concurrency` workers a shard           one task a shard
//! topic ─► consume/intake ─► dispatch/board ─► invoke/call ─► emit/encoder ─► commit/committer ─► output topics
//!          chunk ≤            records ≤         batch ≤        parcel ≤                           offset and map
//!          `batch_size`       `in_flight`       5 ms of work   `pending` bytes
//!                             a partition                      a shard
//! ```
//!
//! `docs/architecture.md` is the guide; the layers below are checked by a test.

// L0
pub mod model;
// L1
pub mod cloudevents;
pub mod config;
pub mod error_code;
pub mod failpoint;
pub mod flow;
#[cfg(test)]
mod fuzzing;
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
pub mod lineage;
pub mod pipeline;
pub mod registry;
// L5
pub mod api;
// L6
pub mod app;
pub mod cli;
