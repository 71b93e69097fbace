//! L3: calls guests. It takes requests that others wrote and gives answers and faults; it knows nothing of Kafka.

pub mod admission;
pub mod emulate;
pub mod pool;
