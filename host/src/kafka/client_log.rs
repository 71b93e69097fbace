//! librdkafka's log lines and global errors as tracing events of the target `millstream::kafka`.
//!
//! Every client context of this room calls [`line`] and [`error`]; [`LoggingContext`] is for clients that need nothing else.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use tracing::{debug, error as error_event, info, warn};

use crate::kafka::connection_advice::with_remedy;

/// A client context that only logs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LoggingContext;

impl ClientContext for LoggingContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self::error(&error, reason);
    }
}

impl ConsumerContext for LoggingContext {}

/// Passes a log line on with its level.
pub(crate) fn line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            error_event!(target: "millstream::kafka", facility, "{message}");
        }
        // librdkafka reports every refused connection as an error although it retries.
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            warn!(target: "millstream::kafka", facility, "{}", with_remedy(message));
        }
        RDKafkaLogLevel::Notice => info!(target: "millstream::kafka", facility, "{message}"),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            debug!(target: "millstream::kafka", facility, "{message}");
        }
    }
}

/// librdkafka's levels are those of syslog.
pub(crate) fn level_of(level: i32) -> RDKafkaLogLevel {
    match level {
        ..=2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        7.. => RDKafkaLogLevel::Debug,
    }
}

/// Passes on an error that belongs to no single call. librdkafka has logged its cause already.
pub(crate) fn error(error: &KafkaError, reason: &str) {
    debug!(target: "millstream::kafka", %error, "{reason}");
}
