//! L3: from a lane's records to the guest's verdicts.
//!
//! Owns calls: how many records share one, what a fault means for the others, and the pool of instances. Knows no
//! Kafka, no lane and no output.

pub(crate) mod admission;
pub(crate) mod call;
pub(crate) mod emulate;
pub(crate) mod pool;
