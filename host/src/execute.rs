//! L4: runs a function on records, wherever they came from: attempts, encoding, retries, dead letters.

pub(crate) mod revisions;
pub(crate) mod standalone;
