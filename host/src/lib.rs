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
mod model;
// L1
mod cloudevents;
mod config;
mod error_code;
mod failpoint;
mod flow;
#[cfg(test)]
mod fuzzing;
mod shutdown;
mod telemetry;
mod terminal;
// L2
mod kafka;
mod wasm;
// L3
mod commit;
mod consume;
mod dispatch;
mod emit;
mod invoke;
// L4
mod execute;
mod lineage;
mod registry;
// L5
mod pipeline;
// L6
mod inspect;
mod redrive;
mod schedule;
// L7
mod api;
// L8
mod app;
mod cli;

#[doc(hidden)]
pub mod stages;

use std::process::ExitCode;

/// Runs the program: the command line, or, when a host started it so, the compiler of one module.
pub fn run() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == wasm::compile::WORD) {
        return wasm::compile::child_main();
    }
    cli::run()
}
