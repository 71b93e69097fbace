//! Places in partitions, and moving a group to them.

use std::sync::Arc;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::config::offset_target::OffsetTarget;
use crate::kafka::admin::offsets::{stranger, write};
use crate::kafka::admin::{AdminError, AdminState, KafkaAdmin, LoggingContext, REQUEST_TIMEOUT, topics};
use crate::kafka::partition_list;
use crate::model::position::TopicPartition;

/// A place in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionBounds {
    pub(crate) partition: TopicPartition,
    /// The first offset that is still there.
    pub(crate) beginning: i64,
    /// The offset after the last record.
    pub(crate) end: i64,
    /// The place; as near as there is, between both.
    pub(crate) offset: i64,
}

impl KafkaAdmin {
    pub(crate) async fn partitions_of(&self, names: Vec<String>) -> Result<Vec<TopicPartition>, AdminError> {
        self.blocking(move |inner| {
            let existing = topics::list(&inner.client)?;
            let missing: Vec<String> = names.iter().filter(|name| !existing.contains_key(*name)).cloned().collect();
            if !missing.is_empty() {
                return Err(AdminError::MissingTopics(missing));
            }
            let all = |name: &String| {
                let name: Arc<str> = name.as_str().into();
                (0..existing[&*name]).map(move |number| TopicPartition::new(name.clone(), number))
            };
            Ok(names.iter().flat_map(all).collect())
        })
        .await
    }

    /// Where `target` lies in each of `partitions`, in their order.
    pub(crate) async fn locate(
        &self,
        partitions: Vec<TopicPartition>,
        target: OffsetTarget,
    ) -> Result<Vec<PartitionBounds>, AdminError> {
        self.blocking(move |inner| locate(inner, &partitions, target)).await
    }

    /// Makes `group` continue at these offsets. It must have no member.
    pub(crate) async fn move_group(&self, group: &str, places: Vec<(TopicPartition, i64)>) -> Result<(), AdminError> {
        if self.is_embedded() {
            return Err(AdminError::NotEmbedded { action: "move the offsets of a group" });
        }
        let group = group.to_owned();
        let places = places.into_iter().map(|(partition, offset)| (partition, offset, String::new())).collect();
        self.blocking(move |inner| write(inner, &group, places, "move the offsets of")).await
    }
}

fn locate(
    inner: &AdminState,
    partitions: &[TopicPartition],
    target: OffsetTarget,
) -> Result<Vec<PartitionBounds>, AdminError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let reader = stranger(inner, "millstream.places")?;
    let ask = |what| ask(&reader, partitions, what);
    let beginnings = ask(Offset::Beginning)?;
    let ends = ask(Offset::End)?;
    let wanted: Vec<Option<i64>> = match target {
        OffsetTarget::Earliest => beginnings.clone(),
        OffsetTarget::Latest => ends.clone(),
        OffsetTarget::Offset(offset) => vec![Some(offset); partitions.len()],
        // Of a moment after the last record Kafka says nothing: that is the end.
        OffsetTarget::Time(millis) => ask(Offset::Offset(millis))?,
    };
    let places = partitions.iter().zip(beginnings).zip(ends).zip(wanted);
    Ok(places
        .map(|(((partition, beginning), end), wanted)| {
            let beginning = beginning.unwrap_or_default();
            let end = end.unwrap_or_default().max(beginning);
            let offset = wanted.unwrap_or(end).clamp(beginning, end);
            PartitionBounds { partition: partition.clone(), beginning, end, offset }
        })
        .collect())
}

/// Offsets by time, or of an edge; one request to each leader.
fn ask(
    reader: &BaseConsumer<LoggingContext>,
    partitions: &[TopicPartition],
    what: Offset,
) -> Result<Vec<Option<i64>>, AdminError> {
    let failed = |error| AdminError::of(error, "read offsets of partitions");
    let list = partition_list::with_offsets(partitions.iter().map(|partition| (partition, what))).map_err(failed)?;
    let told = reader.offsets_for_times(list, REQUEST_TIMEOUT).map_err(failed)?;
    partitions
        .iter()
        .map(|partition| {
            let Some(element) = partition_list::find(&told, &partition.topic, partition.partition) else {
                return Ok(None);
            };
            element.error().map_err(failed)?;
            Ok(match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            })
        })
        .collect()
}
