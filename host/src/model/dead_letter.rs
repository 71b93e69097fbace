//! The headers by which a dead letter says what it is.

use super::parcel::VALUE_TRUNCATED;

/// The class of the fault.
pub const ERROR_CLASS: &str = "millstream-error-class";
/// What happened.
pub const ERROR_MESSAGE: &str = "millstream-error-message";
/// How often it was tried.
pub const ATTEMPTS: &str = "millstream-attempts";
/// `name@revision`.
pub const FUNCTION: &str = "millstream-function";
/// The record's topic.
pub const TOPIC: &str = "millstream-topic";
/// The record's partition.
pub const PARTITION: &str = "millstream-partition";
/// The record's offset.
pub const OFFSET: &str = "millstream-offset";
/// The record's timestamp: milliseconds since the Unix epoch.
pub const TIMESTAMP: &str = "millstream-timestamp";
/// The dead letter that something came of when it was handled again: `topic/partition/offset`. On what was emitted then, and
/// on the dead letter that it became again.
pub const REDRIVEN: &str = "millstream-redriven";

/// Whether a header is one that a dead letter has beside those of its record. A new dead letter replaces those of an
/// earlier one.
pub fn is_ours(name: &str) -> bool {
    const OURS: [&str; 10] = [
        ERROR_CLASS,
        ERROR_MESSAGE,
        ATTEMPTS,
        FUNCTION,
        TOPIC,
        PARTITION,
        OFFSET,
        TIMESTAMP,
        REDRIVEN,
        VALUE_TRUNCATED,
    ];
    OURS.contains(&name)
}
