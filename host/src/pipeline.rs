//! L4: wires the stages of a function's shard and supervises them.
//!
//! ```text
//!            poller thread                 runtime: `concurrency` workers                 one task a shard
//!  topic ─► consume::intake ─► dispatch::board ─► invoke::call ─► emit::encoder ─► commit::committer ─► output topics,
//!           chunks ≤ batch_size  records ≤ in_flight              parcels ≤ pending bytes               offsets + map
//!           a partition          a partition                      a shard
//! ```

pub(crate) mod background;
pub(crate) mod blocker;
pub(crate) mod build;
pub(crate) mod calls;
pub(crate) mod function;
mod guest_log;
mod prepare;
pub(crate) mod shard;
pub(crate) mod shard_view;
pub(crate) mod supervisor;
pub(crate) mod topics;
pub(crate) mod watchdog;
pub(crate) mod worker;
