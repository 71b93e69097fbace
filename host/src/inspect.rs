//! L6: runs revisions without side effects: replays of the past, shadows beside the live revision, and how their results are compared.

pub(crate) mod compare;
pub(crate) mod replay;
pub(crate) mod shadow;
