//! L2: the only room that knows rdkafka. Consumers, producers, the pollers that serve them, and administration.

pub mod admin;
mod advice;
mod assignment;
mod bounded;
pub mod client_log;
pub mod consumer;
pub mod embedded;
pub mod generation;
pub mod history;
pub mod poller;
pub mod producer;
pub mod publisher;
pub mod range;
pub mod rebalance;
pub mod record_queue;
mod sending;
pub mod settings;
pub mod survey;
mod ticketed_client;
pub mod tickets;
pub mod topic_compression;
mod topic_handle;
pub mod topic_ids;
pub mod topic_log;
pub mod transaction;
pub mod watch;
