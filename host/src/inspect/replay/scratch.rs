//! A topic to which a replay writes what is emitted, so that one can look at it with other tools.

use crate::inspect::compare::DryRun;
use crate::inspect::replay::{ReplayError, ReplayPlan};
use crate::kafka::admin::NewTopic;
use crate::kafka::produce::publisher::{HostPublisher, PublishedMessage};
use crate::pipeline::supervisor::HostServices;

/// Marks an event of a replay, with the revision that emitted it.
const REPLAY: &str = "millstream-replay";
/// Says to which topic it would have gone.
const OUTPUT: &str = "millstream-replay-topic";

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
        let mut headers = Vec::new();
        for DryRun { parcel, .. } in ran {
            for message in &parcel.messages {
                let own = parcel.headers_of(message);
                let mut of_one: Vec<(String, Vec<u8>)> =
                    own.map(|(name, value)| (name.to_owned(), value.unwrap_or_default().to_vec())).collect();
                of_one.push((REPLAY.to_owned(), self.stamp.clone().into_bytes()));
                of_one.push((OUTPUT.to_owned(), message.topic.as_bytes().to_vec()));
                headers.push(of_one);
            }
        }
        let all =
            ran.iter().flat_map(|DryRun { parcel, .. }| parcel.messages.iter().map(move |message| (parcel, message)));
        let messages: Vec<PublishedMessage<'_>> = all
            .zip(&headers)
            .map(|((parcel, message), headers)| PublishedMessage {
                key: message.key.as_ref().map(|key| parcel.slice(key)),
                value: message.value.as_ref().map(|value| parcel.slice(value)),
                headers,
            })
            .collect();
        for written in self.publisher.write(&self.topic, &messages).await {
            written.map_err(|error| ReplayError::NotWritten(self.topic.clone(), error.to_string()))?;
        }
        Ok(messages.len() as u64)
    }
}
