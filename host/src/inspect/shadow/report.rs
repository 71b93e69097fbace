//! What the API shows of a function's shadow: how far it is on all hosts, and the differences that this one saw last.

use std::sync::Arc;

use crate::inspect::shadow::status::{DifferingRecord, ShadowStatuses};
use crate::kafka::admin::{AdminError, KafkaAdmin};
use crate::model::inputs::InputTopics;
use crate::model::position::TopicPartition;
use crate::model::shadow::{ShadowBookmark, ShadowCounts, ShadowRevision};

/// Reports on shadows. Clones are as good.
#[derive(Clone)]
pub(crate) struct ShadowReports {
    admin: KafkaAdmin,
    statuses: ShadowStatuses,
}

#[derive(Debug)]
pub(crate) struct ShadowReport {
    /// What was counted in all partitions, by all hosts.
    pub(crate) counts: ShadowCounts,
    /// How far it is, in the partitions in which it has begun.
    pub(crate) places: Vec<ShadowPosition>,
    /// Why it does not continue, on this host.
    pub(crate) trouble: Option<String>,
    /// The last differences that this host saw, the newest last.
    pub(crate) differences: Vec<Arc<DifferingRecord>>,
}

/// How far a shadow is in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShadowPosition {
    pub(crate) partition: TopicPartition,
    /// The record that is compared next.
    pub(crate) offset: i64,
    /// Offsets that the live revision has handled and the shadow has not.
    pub(crate) lag: i64,
}

impl ShadowReports {
    /// Asks `admin` how far shadows are; `statuses` say what this host saw.
    pub(crate) fn new(admin: KafkaAdmin, statuses: ShadowStatuses) -> Self {
        Self { admin, statuses }
    }

    pub(crate) async fn report(&self, shadow: &ShadowRevision) -> Result<ShadowReport, AdminError> {
        let manifest = &shadow.revision.manifest;
        let name = &manifest.name;
        // A pattern that was accepted once can be read.
        let inputs = InputTopics::of(manifest).ok();
        let is_input = |topic: &String| inputs.as_ref().is_some_and(|inputs| inputs.has(topic));
        let topics = self.admin.topics().await?.into_keys().filter(is_input).collect();
        let partitions = self.admin.partitions_of(topics).await?;
        let bookmarks = self.admin.bookmarks(&name.shadow_group_id(shadow.revision.number))?;
        let kept = bookmarks.read(partitions.clone()).await?;
        let asked = partitions.iter().map(|partition| (partition.topic.to_string(), partition.partition)).collect();
        let handled = self.admin.committed(&name.group_id(), asked).await?;
        let (mut counts, mut places) = (ShadowCounts::default(), Vec::new());
        for ((partition, kept), handled) in partitions.into_iter().zip(kept).zip(handled) {
            let Some(bookmark) = kept.and_then(|(offset, text)| ShadowBookmark::read(offset, &text)) else { continue };
            counts.add(&bookmark.counts);
            let lag = (handled.unwrap_or_default() - bookmark.offset).max(0);
            places.push(ShadowPosition { partition, offset: bookmark.offset, lag });
        }
        let status = self.statuses.get(name);
        let status = status.filter(|status| status.revision() == Some(shadow.revision.number));
        let trouble = status.as_ref().and_then(|status| status.last_trouble());
        let differences = status.map(|status| status.differences()).unwrap_or_default();
        Ok(ShadowReport { counts, places, trouble, differences })
    }
}
