//! Producers: shared ones that acknowledge, transactional ones, and the path of messages into librdkafka.

pub(crate) mod codecs;
pub(crate) mod enqueue;
pub(crate) mod producer;
pub(crate) mod publisher;
pub(crate) mod ticketed_client;
pub(crate) mod tickets;
pub(crate) mod topic_compression;
pub(crate) mod topic_handle;
pub(crate) mod transaction;
