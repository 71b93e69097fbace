//! L3: publishes outcomes and commits offsets, one committer a shard.
//!
//! Owns what is finished and what of it Kafka knows. An offset is committed only after everything that its record
//! emitted was acknowledged; a lease that died admits no commit. Knows no guest and no lane.

pub mod committer;
pub mod offset_map;
pub mod sent;
pub mod tracker;
