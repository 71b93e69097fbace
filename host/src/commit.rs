//! L3: publishes parcels and commits offsets.
//!
//! One committer for each shard: emit and tracking hand over to it and to nothing else. How it publishes is the
//! function's processing guarantee: [`at_least_once`] writes at once and commits what is acknowledged, [`exactly_once`]
//! writes and commits in one transaction. Owns the trackers. Does not know guests, lanes or events.

pub mod at_least_once;
pub mod committer;
pub mod delivery;
pub mod exactly_once;
pub mod offset_map;
pub mod refusal;
pub mod selection;
pub mod sent;
pub mod tracker;
pub mod transaction;
pub mod turns;
