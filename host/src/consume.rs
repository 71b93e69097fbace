//! L3: from Kafka's records to chunks of events.
//!
//! Owns what is taken from a consumer: which partitions, from which offset, how many records. Runs on a poller thread
//! and never waits: a partition whose budget is used up is left alone until work is finished, and paused when that
//! takes long. It must not know lanes, guests or outputs.

pub(crate) mod admit;
pub(crate) mod decode;
pub(crate) mod filter;
pub(crate) mod intake;
pub(crate) mod partition;
