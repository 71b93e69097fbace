//! L4: wires the stages of a function's shard and supervises them.
//!
//! ```text
//!            poller thread                 runtime: `concurrency` workers                 one task a shard
//!  topic ─► consume::intake ─► dispatch::board ─► invoke::call ─► emit::encoder ─► commit::committer ─► output topics,
//!           chunks ≤ batch_size  records ≤ in_flight              parcels ≤ pending bytes               offsets + map
//!           a partition          a partition                      a shard
//! ```

pub mod aside;
pub mod blocker;
pub mod build;
mod compare;
pub mod dead_letters;
pub mod direct;
pub mod function;
mod guest_log;
mod lone;
pub mod replay;
pub mod revisions;
pub mod scheduler;
pub mod shadow;
pub mod shard;
pub mod shard_view;
pub mod supervisor;
pub mod tick;
pub mod topics;
pub mod watchdog;
pub mod worker;
mod workshop;
