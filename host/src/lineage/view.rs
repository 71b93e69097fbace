//! Lineage, as it is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A record with what caused it and what it led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Lineage {
    /// The first cause that is known. Between it and the record that was asked for, only what lies on the way is shown,
    /// unless the whole was asked for.
    pub(crate) root: LineageNode,
    /// How the effects were looked for.
    pub(crate) scan: ScanReport,
}

/// A record in a lineage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LineageNode {
    /// What it is.
    pub(crate) kind: NodeKind,
    /// Its topic.
    pub(crate) topic: String,
    /// Its partition.
    pub(crate) partition: i32,
    /// Its offset.
    pub(crate) offset: i64,
    /// Whether it is the one that was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) asked: bool,
    /// Milliseconds since the Unix epoch, as the record says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timestamp_ms: Option<i64>,
    /// Milliseconds since its cause, by both records' timestamps. Producers' clocks may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after_ms: Option<i64>,
    /// Its key, where that is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The event's `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// The event's `type`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) type_: Option<String>,
    /// The event's `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// The function that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<String>,
    /// The revision of that function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// The attempt that wrote it, or after which the record was dead-lettered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    /// Whether it came of a dead letter that was handled again, which is its cause.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) redriven: bool,
    /// Why the record was dead-lettered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<NodeFault>,
    /// W3C Trace Context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traceparent: Option<String>,
    /// What it led to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub(crate) effects: Vec<LineageNode>,
}

/// What a record of a lineage is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NodeKind {
    /// An event.
    #[default]
    Event,
    /// A dead letter.
    DeadLetter,
    /// A record that is no longer there, or cannot be read.
    Missing,
    /// A call over HTTP, not a record.
    Call,
}

/// Why a record was dead-lettered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct NodeFault {
    /// The class, such as `trap`.
    pub(crate) class: String,
    /// What happened.
    pub(crate) message: String,
}

/// How effects were looked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ScanReport {
    /// The topics that were read.
    pub(crate) topics: Vec<String>,
    /// How many records were read.
    pub(crate) records: usize,
    /// How long it took.
    pub(crate) elapsed_ms: u64,
    /// Where the search was cut short: there may be more effects. Empty when everything was looked at.
    pub(crate) cut: Vec<String>,
}
