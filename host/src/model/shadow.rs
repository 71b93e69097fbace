//! A revision that runs beside the live one on the same records, its outputs fenced off.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::function::SharedRevision;

/// A function's shadow, as it is wanted on every host.
#[derive(Debug, Clone)]
pub(crate) struct ShadowRevision {
    /// The revision that runs beside the live one.
    pub(crate) revision: SharedRevision,
    /// Attributes and headers in which a difference does not count.
    pub(crate) ignore: Arc<[String]>,
    /// The revisions that may have handled the records that it is compared on: those that are kept; the last one is live.
    pub(crate) beside: Arc<[SharedRevision]>,
}

impl ShadowRevision {
    /// The live revision, when there is one.
    pub(crate) fn live(&self) -> Option<&SharedRevision> {
        self.beside.last()
    }
}

/// How a record went for the shadow, compared with how it went for the live revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShadowVerdict {
    /// Both emitted the same, or gave it up for the same class of fault.
    Same,
    /// Both emitted something, and not the same; or neither emitted anything, and only the live one gave it up.
    Differs,
    /// The live one alone emitted something.
    LiveOnly,
    /// The shadow alone emitted something.
    ShadowOnly,
    /// The shadow gave it up, and the live one did not, or for another class of fault.
    ShadowFailed,
}

/// Records by how they went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ShadowCounts {
    pub(crate) same: u64,
    pub(crate) differs: u64,
    pub(crate) live_only: u64,
    pub(crate) shadow_only: u64,
    pub(crate) shadow_failed: u64,
    /// Offsets that were not compared, because the shadow was too slow.
    pub(crate) skipped: u64,
}

impl ShadowCounts {
    pub(crate) fn count(&mut self, verdict: ShadowVerdict) {
        *match verdict {
            ShadowVerdict::Same => &mut self.same,
            ShadowVerdict::Differs => &mut self.differs,
            ShadowVerdict::LiveOnly => &mut self.live_only,
            ShadowVerdict::ShadowOnly => &mut self.shadow_only,
            ShadowVerdict::ShadowFailed => &mut self.shadow_failed,
        } += 1;
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn add(&mut self, more: &Self) {
        self.same += more.same;
        self.differs += more.differs;
        self.live_only += more.live_only;
        self.shadow_only += more.shadow_only;
        self.shadow_failed += more.shadow_failed;
        self.skipped += more.skipped;
    }

    /// Records with which it makes a difference.
    pub(crate) fn different(&self) -> u64 {
        self.differs + self.live_only + self.shadow_only + self.shadow_failed
    }

    pub(crate) fn compared(&self) -> u64 {
        self.same + self.different()
    }
}

/// How far a shadow is in a partition. It is kept as an offset, with the rest of it as the text beside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ShadowBookmark {
    /// The record that is compared next.
    pub(crate) offset: i64,
    /// What the live revision emitted for that record, and for all after it, was written since then: milliseconds since the
    /// Unix epoch, by the clocks of hosts.
    pub(crate) since_ms: u64,
    /// What was counted in the partition.
    pub(crate) counts: ShadowCounts,
}

#[derive(Serialize, Deserialize)]
struct BookmarkDetail {
    since_ms: u64,
    #[serde(flatten)]
    counts: ShadowCounts,
}

impl ShadowBookmark {
    /// What is written beside the offset.
    pub(crate) fn text(&self) -> String {
        // Numbers always become JSON.
        serde_json::to_string(&BookmarkDetail { since_ms: self.since_ms, counts: self.counts }).unwrap_or_default()
    }

    /// Reads what was kept; nothing when the text is not ours.
    pub(crate) fn read(offset: i64, text: &str) -> Option<Self> {
        let BookmarkDetail { since_ms, counts } = serde_json::from_str(text).ok()?;
        Some(Self { offset, since_ms, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_is_read_back() {
        let mut counts = ShadowCounts { skipped: 3, ..ShadowCounts::default() };
        counts.count(ShadowVerdict::Same);
        counts.count(ShadowVerdict::ShadowFailed);
        let bookmark = ShadowBookmark { offset: 7, since_ms: 1_700_000_000_000, counts };
        assert_eq!(ShadowBookmark::read(7, &bookmark.text()), Some(bookmark));
        assert_eq!((counts.compared(), counts.different()), (2, 1));
        assert_eq!(
            ShadowBookmark::read(7, r#"{"since_ms":1,"same":2,"later":1}"#).map(|read| read.counts.same),
            Some(2)
        );
        assert_eq!((ShadowBookmark::read(7, ""), ShadowBookmark::read(7, "{}")), (None, None));
    }

    #[test]
    fn the_longest_text_fits_beside_an_offset() {
        let most = u64::MAX;
        let (same, differs, live_only, shadow_only, shadow_failed, skipped) = (most, most, most, most, most, most);
        let counts = ShadowCounts { same, differs, live_only, shadow_only, shadow_failed, skipped };
        assert!(ShadowBookmark { offset: 0, since_ms: most, counts }.text().len() < 4000);
    }
}
