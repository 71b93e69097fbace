//! A topic to which a replay writes what is emitted, so that one can look at it with other tools.

use crate::inspect::compare::DryRun;
use crate::inspect::replay::{ReplayError, ReplayPlan};
use crate::kafka::admin::NewTopic;
use crate::kafka::produce::producer::OutgoingMessage;
use crate::kafka::produce::publisher::HostPublisher;
use crate::model::stamp;
use crate::pipeline::supervisor::HostServices;

pub(crate) struct ScratchTopic {
    topic: String,
    stamp: String,
    publisher: HostPublisher,
}

impl ScratchTopic {
    pub(crate) async fn open(
        ground: &HostServices,
        publisher: &HostPublisher,
        order: &ReplayPlan,
    ) -> Result<Option<Self>, ReplayError> {
        let Some(topic) = &order.output else { return Ok(None) };
        let new = NewTopic { name: topic.clone(), partitions: -1, replication: -1, config: Default::default() };
        ground.environment.admin.create_topic(new).await?;
        Ok(Some(Self { topic: topic.clone(), stamp: order.revision.stamp(), publisher: publisher.clone() }))
    }

    /// Writes what was emitted for some records; gives how many events that were.
    pub(crate) async fn write(&self, ran: &[DryRun]) -> Result<u64, ReplayError> {
        let message = |parcel, message| {
            let OutgoingMessage { topic, key, value, headers } = OutgoingMessage::of(parcel, message);
            let own = [(stamp::REPLAY, self.stamp.as_bytes()), (stamp::REPLAY_TOPIC, topic.as_bytes())];
            let own = own.into_iter().map(|(name, value)| (name.as_bytes(), Some(value)));
            OutgoingMessage { topic: &self.topic, key, value, headers: headers.chain(own) }
        };
        let messages =
            ran.iter().flat_map(|DryRun { parcel, .. }| parcel.messages.iter().map(move |one| message(parcel, one)));
        let written = self.publisher.write(messages.collect::<Vec<_>>()).await;
        let events = written.len() as u64;
        for result in written {
            result.map_err(|error| ReplayError::NotWritten(self.topic.clone(), error.to_string()))?;
        }
        Ok(events)
    }
}
