//! L2: the only room that knows rdkafka. Consumers, producers, the pollers that serve them, and administration.

pub(crate) mod admin;
mod advice;
mod bounded;
mod certificate_fault;
pub(crate) mod client_log;
pub(crate) mod connection_advice;
pub(crate) mod embedded;
pub(crate) mod group;
mod partition_list;
pub(crate) mod produce;
mod raw_headers;
pub(crate) mod read;
pub(crate) mod settings;
pub(crate) mod topic_log;
