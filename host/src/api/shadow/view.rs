//! Shadows as JSON shows them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::functions::view::moment;
use crate::api::invoke::view::bytes;
use crate::api::replay::SideView;
use crate::inspect::shadow::{DifferingRecord, ShadowPosition, ShadowReport};
use crate::model::function::{ModuleShape, Revision};
use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::model::shadow::{ShadowRevision, ShadowVerdict};

/// The answer of a shadow's deploy.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ShadowDeployed {
    #[schema(value_type = String)]
    pub(crate) name: FunctionName,
    #[schema(value_type = u64)]
    pub(crate) revision: RevisionNumber,
    /// Its module's SHA-256.
    #[schema(value_type = String)]
    pub(crate) digest: ArtifactDigest,
    /// How the host calls it.
    #[schema(value_type = String)]
    pub(crate) shape: ModuleShape,
    /// The revision that is live.
    #[schema(value_type = u64)]
    pub(crate) live: RevisionNumber,
    /// When it was deployed, by RFC 3339.
    pub(crate) since: String,
}

/// How a shadow does.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ShadowView {
    #[serde(flatten)]
    pub(crate) deployed: ShadowDeployed,
    /// With what it is compared: `recorded`, what the live revision emitted; or `live`, what that emits when it is run again.
    pub(crate) against: Cow<'static, str>,
    /// Attributes and headers in which a difference does not count.
    pub(crate) ignore: Vec<String>,
    pub(crate) records: u64,
    /// Of these, such as make no difference.
    pub(crate) same: u64,
    /// Of these, such as make one: the sum of the following four.
    pub(crate) different: u64,
    /// Both revisions emitted something, and not the same.
    pub(crate) differs: u64,
    /// Only the live revision emitted something.
    pub(crate) live_only: u64,
    /// Only the shadow emitted something.
    pub(crate) shadow_only: u64,
    /// Only the shadow gave it up, or for another class of fault.
    pub(crate) shadow_failed: u64,
    /// Offsets that were passed over, because the shadow was too slow.
    pub(crate) skipped: u64,
    /// Offsets that the live revision has handled and the shadow has not.
    pub(crate) lag: i64,
    pub(crate) partitions: Vec<ShadowPartition>,
    /// Why it does not continue, on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    /// The last differences that this host saw, the newest last.
    pub(crate) differences: Vec<ShadowDifference>,
}

/// How far a shadow is in a partition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ShadowPartition {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The record that is compared next.
    pub(crate) offset: i64,
    /// Offsets that the live revision has handled and the shadow has not.
    pub(crate) lag: i64,
}

/// A record with which a shadow makes a difference.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ShadowDifference {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Its key, where it is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Its key in base64, where it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_base64: Option<String>,
    /// `differs`, `live_only`, `shadow_only` or `shadow_failed`.
    #[schema(value_type = String)]
    pub(crate) kind: ShadowVerdict,
    pub(crate) live: SideView,
    /// What the shadow makes of it.
    pub(crate) shadow: SideView,
}

impl ShadowDeployed {
    pub(crate) fn new(revision: &Revision, live: RevisionNumber) -> Self {
        let Revision { number, digest, shape, manifest, deployed_at_ms, .. } = revision;
        Self {
            name: manifest.name.clone(),
            revision: *number,
            digest: *digest,
            shape: *shape,
            live,
            since: moment(*deployed_at_ms),
        }
    }
}

impl ShadowView {
    pub(crate) fn new(shadow: &ShadowRevision, live: RevisionNumber, report: &ShadowReport) -> Self {
        let ShadowReport { counts, places, trouble, differences } = report;
        let is_run_again = shadow.live().is_some_and(|live| live.manifest.emits_raw());
        Self {
            deployed: ShadowDeployed::new(&shadow.revision, live),
            against: Cow::Borrowed(if is_run_again { "live" } else { "recorded" }),
            ignore: shadow.ignore.to_vec(),
            records: counts.compared(),
            same: counts.same,
            different: counts.different(),
            differs: counts.differs,
            live_only: counts.live_only,
            shadow_only: counts.shadow_only,
            shadow_failed: counts.shadow_failed,
            skipped: counts.skipped,
            lag: places.iter().map(|place| place.lag).sum(),
            partitions: places.iter().map(ShadowPartition::new).collect(),
            trouble: trouble.clone(),
            differences: differences.iter().map(|difference| ShadowDifference::new(difference)).collect(),
        }
    }
}

impl ShadowPartition {
    fn new(ShadowPosition { partition, offset, lag }: &ShadowPosition) -> Self {
        Self { topic: partition.topic.to_string(), partition: partition.partition, offset: *offset, lag: *lag }
    }
}

impl ShadowDifference {
    fn new(difference: &DifferingRecord) -> Self {
        let DifferingRecord { partition, offset, key, verdict, live, shadow } = difference;
        let (key, key_base64) = bytes(key.as_deref());
        Self {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset: *offset,
            key,
            key_base64,
            kind: *verdict,
            live: SideView::new(live),
            shadow: SideView::new(shadow),
        }
    }
}
