//! What to do about what Kafka says: its own words name a cause, and seldom a remedy.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// `error` in Kafka's words, and what to do where that is known.
pub(crate) fn advised(error: &KafkaError) -> String {
    let code = match error {
        // The one kind of error whose code rdkafka keeps to itself.
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    match code.and_then(advice) {
        Some(advice) => format!("{error}; {advice}"),
        None => error.to_string(),
    }
}

/// What librdkafka says in words alone, and what to do where that is known.
pub(crate) fn advised_text(text: &str) -> String {
    use RDKafkaErrorCode as Code;
    // Only what stands in words somewhere: each has its description as "Broker: Topic authorization failed" in brackets.
    let codes =
        [Code::TopicAuthorizationFailed, Code::TransactionalIdAuthorizationFailed, Code::UnknownTopicOrPartition];
    let is_named = |code: &RDKafkaErrorCode| {
        let shown = code.to_string();
        shown.split_once('(').is_some_and(|(_, words)| text.contains(words.trim_end_matches(')')))
    };
    match codes.into_iter().find(is_named).and_then(advice) {
        Some(advice) => format!("{text}; {advice}"),
        None => text.to_owned(),
    }
}

/// What to do about an error with this code.
pub(crate) fn advice(code: RDKafkaErrorCode) -> Option<&'static str> {
    use RDKafkaErrorCode as Code;
    Some(match code {
        Code::TopicAuthorizationFailed => {
            "give the host's Kafka user the rights to this topic: Describe, and Read for an input, Write for an output or \
             dead letters"
        }
        Code::GroupAuthorizationFailed => {
            "give the host's Kafka user the rights Describe and Read to the groups that begin with millstream."
        }
        Code::TransactionalIdAuthorizationFailed => {
            "give the host's Kafka user the rights Describe and Write to the transactional ids that begin with millstream."
        }
        Code::ClusterAuthorizationFailed => "give the host's Kafka user that right to the cluster",
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "check security.protocol and the sasl.* and ssl.* settings in [kafka] of the host's configuration"
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            "create the topic, or deploy the function again where topics.create is true"
        }
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            "raise max.message.bytes of the topic, or lower limits.output of the function, so that the guest fails"
        }
        Code::InvalidRecord => {
            "see what the topic demands: one with cleanup.policy=compact takes no record without a key"
        }
        Code::PolicyViolation => "see the cluster's policies: one of them forbids this",
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            "bring the topic's brokers back, or lower its min.insync.replicas"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_mended_says_how() {
        let told = advised(&KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed));
        assert!(told.contains("Topic authorization failed") && told.contains("Write for an output"), "{told}");
        let told = advised(&KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
        assert!(told.contains("max.message.bytes") && told.contains("limits.output"), "{told}");
        let told = advised(&KafkaError::AdminOp(RDKafkaErrorCode::GroupAuthorizationFailed));
        assert!(told.contains("groups that begin with millstream."), "{told}");
        let words = "Failed to add partition \"out\" [0] to transaction: Broker: Topic authorization failed";
        assert!(advised_text(words).contains("Write for an output"), "{}", advised_text(words));
        assert_eq!(advised_text("something else"), "something else");
        assert_eq!(advised(&KafkaError::Canceled), KafkaError::Canceled.to_string());
    }
}
