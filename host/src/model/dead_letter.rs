//! The headers by which a dead letter says what it is.

use crate::model::parcel::VALUE_TRUNCATED;

/// The class of the fault.
pub(crate) const ERROR_CLASS: &str = "millstream-error-class";
pub(crate) const ERROR_MESSAGE: &str = "millstream-error-message";
/// How often it was tried.
pub(crate) const ATTEMPTS: &str = "millstream-attempts";
pub(crate) const FUNCTION: &str = "millstream-function";
pub(crate) const TOPIC: &str = "millstream-topic";
pub(crate) const PARTITION: &str = "millstream-partition";
pub(crate) const OFFSET: &str = "millstream-offset";
/// The record's timestamp: milliseconds since the Unix epoch.
pub(crate) const TIMESTAMP: &str = "millstream-timestamp";
/// The dead letter that something came of when it was handled again: `topic/partition/offset`. On what was emitted then, and
/// on the dead letter that it became again.
pub(crate) const REDRIVEN: &str = "millstream-redriven";

/// Whether a header is one that a dead letter has beside those of its record. A new dead letter replaces those of an
/// earlier one.
pub(crate) fn is_ours(name: &str) -> bool {
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
