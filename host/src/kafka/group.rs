//! Consumer groups: members, their rebalances, and the queues of records that they take from.

pub(crate) mod assignment;
pub(crate) mod consumer;
pub(crate) mod generation;
pub(crate) mod poller;
pub(crate) mod rebalance;
pub(crate) mod record_queue;
