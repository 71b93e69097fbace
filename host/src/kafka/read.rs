//! Readers outside of any group: a topic's past, and what appears in it.

pub(crate) mod history;
pub(crate) mod range;
pub(crate) mod topic_reader;
pub(crate) mod topic_watch;
