//! What a replay says, as JSON shows it.

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::dead_letters::HeaderView;
use crate::api::invoke::view::bytes;
use crate::api::problem::ProblemView;
use crate::inspect::replay::{ComparedOutcome, NormalizedEvent, ReplayError, ReplayEvent, ReplayTally};

/// A line of a replay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ReplayLine {
    Began {
        /// The parts that are run.
        partitions: Vec<PartView>,
        /// Offsets in all of them; some may hold no record.
        offsets: u64,
    },
    /// A record with which it makes a difference.
    Difference {
        partition: i32,
        offset: i64,
        /// Its key, where it is a text.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Its key in base64, where it is not text.
        #[serde(skip_serializing_if = "Option::is_none")]
        key_base64: Option<String>,
        /// What came of it then, or comes of it by the live revision.
        expected: SideView,
        /// What comes of it now.
        got: SideView,
    },
    Progress(TallyView),
    Ended(TallyView),
    Failed {
        problem: ProblemView,
    },
}

/// A part of a partition.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PartView {
    pub(crate) partition: i32,
    pub(crate) from: i64,
    /// The offset after the last one.
    pub(crate) to: i64,
}

/// What was counted so far.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct TallyView {
    pub(crate) records: u64,
    /// Of these, such as a filter keeps away.
    pub(crate) filtered: u64,
    /// Of these, such as are dead-lettered.
    pub(crate) given_up: u64,
    pub(crate) emitted: u64,
    /// Records with which it makes no difference.
    pub(crate) same: u64,
    /// Records with which it makes one.
    pub(crate) different: u64,
    /// Records that were not compared, because the function has not handled them yet.
    pub(crate) not_handled: u64,
    /// Events that were written to `output`.
    pub(crate) written: u64,
}

/// What came of a record.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SideView {
    /// `emitted`, `filtered`, or the class of the fault with which it was dead-lettered.
    pub(crate) outcome: String,
    /// What happened, when it was dead-lettered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// The events, in no order.
    pub(crate) events: Vec<EventView>,
}

/// An event as it lies in its topic.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventView {
    pub(crate) topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value_base64: Option<String>,
    /// Without those that say which run it was.
    pub(crate) headers: Vec<HeaderView>,
}

impl ReplayLine {
    pub(crate) fn of(news: ReplayEvent, problem: impl FnOnce(ReplayError) -> ProblemView) -> Self {
        match news {
            ReplayEvent::Began { parts, offsets } => {
                let part = |(partition, part): (i32, std::ops::Range<i64>)| PartView {
                    partition,
                    from: part.start,
                    to: part.end,
                };
                Self::Began { partitions: parts.into_iter().map(part).collect(), offsets }
            }
            ReplayEvent::Difference(difference) => {
                let (key, key_base64) = bytes(difference.key.as_deref());
                Self::Difference {
                    partition: difference.partition,
                    offset: difference.offset,
                    key,
                    key_base64,
                    expected: SideView::new(&difference.expected),
                    got: SideView::new(&difference.got),
                }
            }
            ReplayEvent::Progress(tally) => Self::Progress(TallyView::new(tally)),
            ReplayEvent::Ended(tally) => Self::Ended(TallyView::new(tally)),
            ReplayEvent::Failed(error) => Self::Failed { problem: problem(error) },
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        // Texts, numbers and lists of them always become JSON.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line.into()
    }
}

impl TallyView {
    fn new(tally: ReplayTally) -> Self {
        let ReplayTally { records, filtered, given_up, emitted, same, different, not_handled, written } = tally;
        Self { records, filtered, given_up, emitted, same, different, not_handled, written }
    }
}

impl SideView {
    pub(crate) fn new(side: &ComparedOutcome) -> Self {
        let (outcome, message, events) = match side {
            ComparedOutcome::Emitted(events) => ("emitted", None, events.as_slice()),
            ComparedOutcome::Filtered => ("filtered", None, [].as_slice()),
            ComparedOutcome::GivenUp { class, message } => (class.as_str(), Some(message.clone()), [].as_slice()),
        };
        Self { outcome: outcome.to_owned(), message, events: events.iter().map(EventView::new).collect() }
    }
}

impl EventView {
    fn new(shape: &NormalizedEvent) -> Self {
        let (key, key_base64) = bytes(shape.key.as_deref());
        let (value, value_base64) = bytes(shape.value.as_deref());
        let headers = shape.headers.iter().map(|(name, value)| HeaderView::new(name, value.as_deref())).collect();
        Self { topic: shape.topic.to_string(), key, key_base64, value, value_base64, headers }
    }
}
