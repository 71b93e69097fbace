//! A topic of one partition as a log: read from an offset to its end and on, written by one fenced writer at a time.
//!
//! Everything here blocks; callers use blocking threads. Readers see committed transactions only.

mod reader;
mod writer;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub(crate) use reader::{LogItem, LogReader};
pub(crate) use writer::LogWriter;

/// Every log has this one partition.
const PARTITION: i32 = 0;

/// Why a log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicLogError {
    /// Kafka refused or did not answer.
    #[error("cannot {action} topic \"{topic}\": {source}")]
    Kafka { action: &'static str, topic: String, source: KafkaError },
    #[error("topic \"{topic}\" does not exist")]
    NoTopic { topic: String },
    /// Another writer has taken over: nothing of this transaction was written.
    #[error("another host is writing to topic \"{topic}\"")]
    Superseded { topic: String },
    /// Something did not happen in time.
    #[error("cannot {action} topic \"{topic}\" in time; check that the brokers are well")]
    TimedOut { action: &'static str, topic: String },
}

impl TopicLogError {
    /// Whether a message will never be taken: too large, or invalid.
    pub(crate) fn is_refusal(&self) -> bool {
        use RDKafkaErrorCode as Code;
        let Self::Kafka { source, .. } = self else { return false };
        matches!(
            source.rdkafka_error_code(),
            Some(
                Code::MessageSizeTooLarge
                    | Code::MessageBatchTooLarge
                    | Code::InvalidMessageSize
                    | Code::InvalidMessage
                    | Code::InvalidRecord
                    | Code::InvalidTimestamp
                    | Code::PolicyViolation
            )
        )
    }

    fn of(source: KafkaError, action: &'static str, topic: &str) -> Self {
        use RDKafkaErrorCode as Code;
        match source.rdkafka_error_code() {
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
                Self::Superseded { topic: topic.to_owned() }
            }
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
                Self::NoTopic { topic: topic.to_owned() }
            }
            _ => Self::Kafka { action, topic: topic.to_owned(), source },
        }
    }
}
