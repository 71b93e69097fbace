//! What goes wrong between the control plane and a cluster, each with what to do.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::advice::advice;
use crate::kafka::connection_advice::remedy;

/// Why a cluster did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// The settings are refused before anything is sent.
    #[error(
        "kafka's client refuses its settings: {error}; {what_to_do}",
        error = .0,
        what_to_do = remedy(&.0.to_string()).unwrap_or("check [kafka] in the host's configuration")
    )]
    Configuration(KafkaError),
    /// The thread that listens to the client cannot be started.
    #[error("cannot start a thread: {0}; raise the limit of processes of the host's user")]
    Thread(std::io::Error),
    #[error(
        "kafka does not answer ({code}); {what_to_do}",
        code = .0,
        what_to_do = advice(*.0).unwrap_or("check kafka.bootstrap_servers, and that the brokers run")
    )]
    Unreachable(RDKafkaErrorCode),
    #[error("kafka forbids this host to {action} ({code}); {}", advice(*.code).unwrap_or("give its user that right"))]
    Forbidden { action: String, code: RDKafkaErrorCode },
    #[error("kafka refused to {action}: {code}")]
    Refused { action: String, code: RDKafkaErrorCode },
    #[error("kafka refused to create topic \"{topic}\": {code}; create it by hand, or give this host's user the right")]
    NotCreated { topic: String, code: RDKafkaErrorCode },
    /// A topic is not there yet after it was created.
    #[error("topic \"{topic}\" was created but has no leaders yet; try again when the brokers are well")]
    NotVisible { topic: String },
    /// Topics that should exist do not.
    #[error("no such topic: {}", .0.join(", "))]
    MissingTopics(Vec<String>),
    /// A group that must be empty has members.
    #[error("consumer group \"{group}\" still has members; stop them, or wait until their sessions end, and try again")]
    GroupHasMembers { group: String },
    /// Offsets were accepted but are not what was written.
    #[error("consumer group \"{group}\" has offset {found:?} for {topic}/{partition} where {written} was written")]
    OffsetsNotKept { group: String, topic: String, partition: i32, written: i64, found: Option<i64> },
    /// The embedded broker could not make a topic.
    #[error("the embedded broker cannot create topic \"{topic}\": {reason}")]
    Embedded { topic: String, reason: String },
    /// The embedded broker can't do it.
    #[error("the embedded broker cannot {action}; use Apache Kafka")]
    NotEmbedded { action: &'static str },
    #[error("the host stopped before kafka answered")]
    Interrupted,
}

impl AdminError {
    /// The error of a request that meant to do `action`.
    pub(crate) fn of(error: KafkaError, action: impl Into<String>) -> Self {
        let code = match &error {
            // The one kind of error whose code rdkafka keeps to itself.
            KafkaError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        match code {
            Some(code) => Self::of_code(code, action),
            None => Self::Configuration(error),
        }
    }

    pub(crate) fn of_code(code: RDKafkaErrorCode, action: impl Into<String>) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::Resolve
            | Code::MessageTimedOut
            | Code::Authentication
            | Code::CoordinatorNotAvailable
            | Code::WaitingForCoordinator => Self::Unreachable(code),
            Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed => {
                Self::Forbidden { action: action.into(), code }
            }
            _ => Self::Refused { action: action.into(), code },
        }
    }

    /// Whether the cause is that no broker answers, so that the same request may succeed later.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taken for a wrong setting, it would not be tried again, and people would look in the wrong place.
    #[test]
    fn a_broker_that_does_not_answer_is_no_wrong_setting() {
        for error in [
            KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut),
            KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure),
        ] {
            assert!(AdminError::of(error, "create a topic").is_unreachable());
        }
    }
}
