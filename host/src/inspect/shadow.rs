//! A function's shadow: a revision that runs beside the live one on the same records, its outputs fenced off.
//!
//! The shadow follows the live revision, record by record, at a distance: only what the live one has finished and committed
//! is compared, so that everything that it emitted can be found in its topics. It is in no group, reads with clients of its
//! own, and works on a thread of its own. Nothing of the live revision waits for it, or knows of it: which shadows there are is
//! in the function table, and which partitions this host has is in the function directory.
//!
//! ```text
//!  leases of the live shards ─► committed offsets
//!                                    │ up to there
//!  inputs ─────────────────► RangeReader ─► DryRunner ─────► what the shadow makes of it ─┐
//!  outputs, dead letters ──► RangeReader ─► EmittedIndex ──► what came of it ─────────────┴─► verdict ─► bookmark
//! ```
//!
//! How far it is, and what was counted, is kept as offsets of a group without members: the host that has a partition next
//! continues there. The last differences are in this host's memory.

mod outputs;
mod report;
mod shadow_run;
mod slot;
mod status;
mod supervisor;
mod task;

pub(crate) use report::{ShadowPosition, ShadowReport, ShadowReports};
pub(crate) use status::{DifferingRecord, ShadowStatuses};
pub(crate) use supervisor::ShadowSupervisor;
