//! L3: publishes parcels and commits offsets.
//!
//! One committer for each shard: emit and tracking hand over to it and to nothing else. How it publishes is the
//! function's processing guarantee: [`at_least_once`] writes at once and commits what is acknowledged, [`exactly_once`]
//! writes and commits in one transaction. Owns the trackers. Does not know guests, lanes or events.

pub(crate) mod at_least_once;
pub(crate) mod committer;
pub(crate) mod delivery;
pub(crate) mod exactly_once;
pub(crate) mod in_flight_parcel;
pub(crate) mod producer_pair;
pub(crate) mod refusal;
pub(crate) mod selection;
pub(crate) mod tracker;
pub(crate) mod transaction;
