//! What a consumer's context hears of its group. It only passes it on; the shard acts.
//!
//! librdkafka serves these callbacks on the polling thread and waits, without blocking it, until someone assigns or
//! unassigns. Doing so seconds later is allowed, for the classic protocol and for KIP-848.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::mpsc;

use crate::kafka::advice::advice;
use crate::kafka::client_log;
use crate::kafka::group::assignment;
use crate::kafka::group::generation::GroupGeneration;
use crate::model::position::TopicPartition;

/// What happened to a member of a group.
#[derive(Debug)]
pub(crate) enum GroupEvent {
    /// These partitions are ours once they are assigned with their offsets.
    Assigned(Vec<TopicPartition>, Option<Arc<GroupGeneration>>),
    /// These partitions go elsewhere once they are unassigned; until then the member of this generation has them.
    Revoked(Vec<TopicPartition>, Option<Arc<GroupGeneration>>),
    /// These partitions are another's already.
    Lost(Vec<TopicPartition>),
    /// What the client gives of this partition can't be trusted before it is reassigned.
    Misplaced(TopicPartition),
    /// A topic of the subscription is not there, or may not be read; the text names it.
    TopicUnavailable(String),
}

/// The context of every group member.
pub(crate) struct MemberContext {
    events: mpsc::UnboundedSender<GroupEvent>,
    closing: AtomicBool,
    generation: Mutex<Option<Arc<GroupGeneration>>>,
}

impl MemberContext {
    pub(crate) fn new(events: mpsc::UnboundedSender<GroupEvent>) -> Self {
        Self { events, closing: AtomicBool::new(false), generation: Mutex::default() }
    }

    /// From now on partitions are given back at once: no one listens any more, and a close waits for it.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn misplaced(&self, partition: &TopicPartition) {
        // The shard is gone only while closing.
        let _ = self.events.send(GroupEvent::Misplaced(partition.clone()));
    }

    /// Whether it informs the shard of such an error itself: only here librdkafka names the topic, while a poll gives the
    /// same error once more without it.
    pub(crate) fn tells_of(code: RDKafkaErrorCode) -> bool {
        matches!(code, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::TopicAuthorizationFailed)
    }

    /// Ends the generation that was, and only then looks at the next one.
    fn follow(&self, next: impl FnOnce() -> Option<GroupGeneration>) -> Option<Arc<GroupGeneration>> {
        let mut generation = self.generation.lock();
        if let Some(past) = generation.take() {
            past.retire();
        }
        *generation = next().map(Arc::new);
        generation.clone()
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "millstream::kafka", %error, reason, "consumer client");
        if let Some(code) = error.rdkafka_error_code()
            && Self::tells_of(code)
            && !self.closing.load(Ordering::Acquire)
        {
            let told = advice(code).map_or_else(|| reason.to_owned(), |advice| format!("{reason}; {advice}"));
            // The shard is gone only while closing.
            let _ = self.events.send(GroupEvent::TopicUnavailable(told));
        }
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let is_assignment = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            if !is_assignment && let Err(error) = assignment::remove(consumer, partitions) {
                tracing::debug!(%error, "could not give partitions back while closing");
            }
            return;
        }
        let named = to_positions(partitions);
        let event = match (is_assignment, consumer.assignment_lost()) {
            (true, _) => GroupEvent::Assigned(named, self.follow(|| GroupGeneration::of(consumer))),
            (false, false) => GroupEvent::Revoked(named, self.follow(|| GroupGeneration::of(consumer))),
            (false, true) => {
                self.follow(|| None);
                GroupEvent::Lost(named)
            }
        };
        // The shard is gone only while closing.
        let _ = self.events.send(event);
    }
}

fn to_positions(partitions: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = partitions.elements();
    elements.iter().map(|element| TopicPartition::new(element.topic(), element.partition())).collect()
}
