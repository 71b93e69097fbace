//! L2: the only room that knows rdkafka.

pub mod admin;
pub mod client_log;
pub mod settings;
pub mod topic_log;
