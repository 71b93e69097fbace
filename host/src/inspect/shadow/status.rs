//! What this host shows of a function's shadow: the last differences, and why it does not continue.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::inspect::compare::ComparedOutcome;
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::position::TopicPartition;
use crate::model::shadow::ShadowVerdict;

/// The differences that are kept, and the memory that they may take in all. The last one is kept, however large.
const KEPT: usize = 100;
const KEPT_BYTES: usize = 4 << 20;

/// What is seen of all shadows on this host. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShadowStatuses(Arc<Mutex<BTreeMap<FunctionName, Arc<ShadowStatus>>>>);

impl ShadowStatuses {
    /// The status of the function's shadow, empty where none was seen yet.
    pub(crate) fn of(&self, name: &FunctionName) -> Arc<ShadowStatus> {
        self.0.lock().entry(name.clone()).or_default().clone()
    }

    pub(crate) fn get(&self, name: &FunctionName) -> Option<Arc<ShadowStatus>> {
        self.0.lock().get(name).cloned()
    }

    /// Forgets a deleted function.
    pub(crate) fn remove(&self, name: &FunctionName) {
        self.0.lock().remove(name);
    }
}

#[derive(Debug, Default)]
pub(crate) struct ShadowStatus(Mutex<StatusState>);

#[derive(Debug, Default)]
struct StatusState {
    revision: Option<RevisionNumber>,
    trouble: Option<String>,
    differences: VecDeque<Arc<DifferingRecord>>,
    bytes: usize,
}

/// A record with which the shadow makes a difference.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DifferingRecord {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) verdict: ShadowVerdict,
    pub(crate) live: ComparedOutcome,
    /// What the shadow makes of it.
    pub(crate) shadow: ComparedOutcome,
}

impl DifferingRecord {
    fn bytes(&self) -> usize {
        self.live.bytes() + self.shadow.bytes() + self.key.as_ref().map_or(0, Vec::len)
    }
}

impl ShadowStatus {
    /// Shows the shadow with this number from now on. What was seen of another one is forgotten.
    pub(crate) fn cast(&self, revision: Option<RevisionNumber>) {
        let mut seen = self.seen();
        match seen.revision == revision {
            true => seen.trouble = None,
            false => *seen = StatusState { revision, ..StatusState::default() },
        }
    }

    /// The number of the shadow.
    pub(crate) fn revision(&self) -> Option<RevisionNumber> {
        self.seen().revision
    }

    /// Notes why it does not continue, or that it does.
    pub(crate) fn trouble(&self, trouble: Option<String>) {
        self.seen().trouble = trouble;
    }

    /// Why it does not continue.
    pub(crate) fn last_trouble(&self) -> Option<String> {
        self.seen().trouble.clone()
    }

    /// Notes a difference. Older ones give way.
    pub(crate) fn differs(&self, difference: DifferingRecord) {
        let mut seen = self.seen();
        seen.bytes += difference.bytes();
        seen.differences.push_back(Arc::new(difference));
        while seen.differences.len() > KEPT || (seen.bytes > KEPT_BYTES && seen.differences.len() > 1) {
            let gone = seen.differences.pop_front().map_or(0, |gone| gone.bytes());
            seen.bytes = seen.bytes.saturating_sub(gone);
        }
    }

    /// The last differences, the newest last.
    pub(crate) fn differences(&self) -> Vec<Arc<DifferingRecord>> {
        self.seen().differences.iter().cloned().collect()
    }

    fn seen(&self) -> MutexGuard<'_, StatusState> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(offset: i64, bytes: usize) -> DifferingRecord {
        let shadow = ComparedOutcome::GivenUp { class: "trap".to_owned(), message: "x".repeat(bytes) };
        let (partition, live) = (TopicPartition::new("in", 0), ComparedOutcome::Filtered);
        DifferingRecord { partition, offset, key: None, verdict: ShadowVerdict::ShadowFailed, live, shadow }
    }

    fn offsets(sight: &ShadowStatus) -> Vec<i64> {
        sight.differences().iter().map(|difference| difference.offset).collect()
    }

    #[test]
    fn the_last_differences_are_kept_as_far_as_there_is_room() {
        let sight = ShadowStatus::default();
        (0..250).for_each(|offset| sight.differs(difference(offset, 10)));
        assert_eq!(offsets(&sight), (150..250).collect::<Vec<_>>());
        sight.differs(difference(250, KEPT_BYTES));
        assert_eq!(offsets(&sight), [250]);
        sight.differs(difference(251, 1));
        assert_eq!(offsets(&sight), [251]);
    }

    #[test]
    fn another_shadow_has_a_clean_sheet() {
        let sight = ShadowStatus::default();
        sight.cast(Some(RevisionNumber(2)));
        sight.differs(difference(1, 1));
        sight.trouble(Some("Kafka is away".to_owned()));
        sight.cast(Some(RevisionNumber(2)));
        assert_eq!((offsets(&sight), sight.last_trouble()), (vec![1], None), "the live revision has changed");
        sight.cast(Some(RevisionNumber(3)));
        assert_eq!((offsets(&sight), sight.revision()), (vec![], Some(RevisionNumber(3))));
    }
}
