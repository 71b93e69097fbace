//! A place in the group of those who could fire: one of them has the partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use crate::kafka::group::consumer::{GroupConsumer, GroupError, GroupMembership};
use crate::kafka::group::poller::{PollOutcome, PollTask, PollerUnparker};
use crate::kafka::group::rebalance::GroupEvent;
use crate::pipeline::build::KafkaContext;

pub(crate) struct ScheduleLeadership {
    consumer: Arc<GroupConsumer>,
    events: mpsc::UnboundedReceiver<GroupEvent>,
    waker: PollerUnparker,
    is_over: Arc<AtomicBool>,
    is_ours: bool,
}

impl ScheduleLeadership {
    /// Joins `group`, which shares `topic` of one partition.
    pub(crate) fn take(environment: &KafkaContext, topic: &str, group: &str) -> Result<Self, GroupError> {
        let membership = GroupMembership {
            group: group.to_owned(),
            instance: None,
            subscription: vec![topic.to_owned()],
            options: Default::default(),
        };
        let (waker, is_over) = (PollerUnparker::new(), Arc::<AtomicBool>::default());
        let (tell, events) = mpsc::unbounded_channel();
        let consumer = GroupConsumer::join(&environment.kafka, &membership, waker.clone(), tell)?;
        let polled = LeadershipPoll { consumer: consumer.clone(), is_over: is_over.clone() };
        environment.pollers.add(Box::new(polled), waker.clone());
        Ok(Self { consumer, events, waker, is_over, is_ours: false })
    }

    /// Whether this host is the one.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Waits until that may have changed.
    pub(crate) async fn changed(&mut self) {
        match self.events.recv().await {
            Some(GroupEvent::Assigned(partitions, _)) => {
                // Nothing of it is read this way: anyone who fires reads it from its beginning.
                let places: Vec<_> = partitions.iter().map(|partition| (partition.clone(), 0)).collect();
                self.told(self.consumer.assign(&places));
                for partition in &partitions {
                    self.told(self.consumer.pause(partition));
                }
                if !partitions.is_empty() {
                    tracing::info!("this host fires the schedules");
                    self.is_ours = true;
                }
            }
            Some(GroupEvent::Revoked(partitions, _) | GroupEvent::Lost(partitions)) => {
                self.is_ours = self.is_ours && partitions.is_empty();
                self.told(self.consumer.unassign(&partitions));
            }
            // Nothing of it is used.
            Some(GroupEvent::Misplaced(_)) => {}
            Some(GroupEvent::TopicUnavailable(reason)) => tracing::warn!(%reason, "the topic of schedules"),
            // The consumer's context lives as long as the consumer.
            None => std::future::pending().await,
        }
    }

    /// Leaves, so that another host continues at once.
    pub(crate) async fn leave(self) {
        let Self { consumer, waker, is_over, .. } = self;
        consumer.close();
        is_over.store(true, Ordering::Release);
        consumer.leave(&waker).await;
    }

    fn told(&self, result: Result<(), GroupError>) {
        if let Err(error) = result {
            tracing::warn!(%error, "the group of schedules");
        }
    }
}

struct LeadershipPoll {
    consumer: Arc<GroupConsumer>,
    is_over: Arc<AtomicBool>,
}

impl PollTask for LeadershipPoll {
    fn turn(&mut self) -> PollOutcome {
        if self.is_over.load(Ordering::Acquire) {
            return PollOutcome::Finished;
        }
        while let Some(trouble) = self.consumer.poll() {
            tracing::debug!(?trouble, "the group of schedules");
        }
        // Anyone who has the partition keeps the schedules; what is in it does not matter.
        drop(self.consumer.take());
        PollOutcome::Waiting
    }
}
