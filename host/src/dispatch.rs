//! L3: from chunks to lanes, in the order the function asked for.
//!
//! Owns which record may run next and which must wait for another. Knows no Kafka, no guest and no output.

pub(crate) mod board;
pub(crate) mod lanes;
pub(crate) mod pace;
pub(crate) mod retry;
