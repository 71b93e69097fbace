//! L3: from chunks to lanes, in the order the function asked for.
//!
//! Owns which record may run next and which must wait for another. Knows no Kafka, no guest and no output.

pub mod board;
pub mod lanes;
pub mod pace;
pub mod retry;
