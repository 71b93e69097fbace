//! Finished offsets above a watermark, as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// What is finished of a partition: everything below the watermark, and ranges above it.
///
/// The ranges run over *offsets*: an offset that is never delivered belongs to the record after it, so gaps by control
/// records and compaction do not split a range. Each range also knows how many records it holds.
///
/// Invariants: ranges are not empty, do not touch, and lie above the watermark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionProgress {
    watermark: i64,
    above: BTreeMap<i64, FinishedRange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FinishedRange {
    end: i64,
    records: usize,
}

impl PartitionProgress {
    /// Nothing is finished from `watermark` on.
    pub(crate) fn new(watermark: i64) -> Self {
        Self { watermark, above: BTreeMap::new() }
    }

    /// Every offset below is finished.
    pub(crate) fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The finished ranges above the watermark, lowest first.
    pub(crate) fn ranges(&self) -> impl DoubleEndedIterator<Item = Range<i64>> + '_ {
        self.above.iter().map(|(start, finished)| *start..finished.end)
    }

    /// How many ranges there are above the watermark.
    pub(crate) fn range_count(&self) -> usize {
        self.above.len()
    }

    pub(crate) fn contains(&self, offset: i64) -> bool {
        if offset < self.watermark {
            return true;
        }
        self.above.range(..=offset).next_back().is_some_and(|(_, finished)| offset < finished.end)
    }

    /// Notes that `offsets` are finished, with `records` records among them. Gives how many records the watermark passed.
    ///
    /// What was finished before may be named again, as far as its records are not counted again.
    pub(crate) fn finish(&mut self, offsets: Range<i64>, records: usize) -> usize {
        let (mut start, mut end, mut records) = (offsets.start.max(self.watermark), offsets.end, records);
        if start >= end {
            return records;
        }
        // The common case: the next records in order.
        if start == self.watermark && self.above.is_empty() {
            self.watermark = end;
            return records;
        }
        // A range that begins before and reaches into this one.
        if let Some((&before, &finished)) = self.above.range(..=start).next_back()
            && finished.end >= start
        {
            self.above.remove(&before);
            start = before;
            end = end.max(finished.end);
            records += finished.records;
        }
        // Ranges that begin inside this one or right at its end.
        while let Some((&next, &finished)) = self.above.range(start..=end).next() {
            self.above.remove(&next);
            end = end.max(finished.end);
            records += finished.records;
        }
        if start == self.watermark {
            self.watermark = end;
            return records;
        }
        self.above.insert(start, FinishedRange { end, records });
        0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn order_does_not_matter_to_the_watermark() {
        let mut progress = PartitionProgress::new(10);
        assert_eq!(progress.finish(12..13, 1), 0);
        assert_eq!(progress.finish(14..15, 1), 0);
        assert_eq!(progress.watermark(), 10);
        assert_eq!(progress.finish(10..12, 2), 3);
        assert_eq!(progress.watermark(), 13);
        assert!(progress.ranges().eq(std::iter::once(14..15)));
        assert!(progress.contains(14) && !progress.contains(13) && progress.contains(9));
    }

    proptest! {
        /// Against a set of offsets, in any order of completion.
        #[test]
        fn it_agrees_with_a_set(order in Just((0..40i64).collect::<Vec<_>>()).prop_shuffle(), count in 0..40usize) {
            let mut progress = PartitionProgress::new(0);
            let mut finished = BTreeSet::new();
            let mut passed = 0;
            for &offset in &order[..count] {
                passed += progress.finish(offset..offset + 1, 1);
                finished.insert(offset);
                let watermark = (0..).find(|offset| !finished.contains(offset)).expect("some offset is not finished");
                prop_assert_eq!(progress.watermark(), watermark);
                prop_assert_eq!(passed as i64, watermark);
                for offset in 0..41 {
                    prop_assert_eq!(progress.contains(offset), finished.contains(&offset));
                }
                let ranges: Vec<_> = progress.ranges().collect();
                prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert!(ranges.first().is_none_or(|first| first.start > progress.watermark()));
            }
        }

        /// Ranges that overlap what is finished change only what is new.
        #[test]
        fn overlaps_are_harmless(ranges in prop::collection::vec((0..60i64, 1..12i64), 0..30)) {
            let mut progress = PartitionProgress::new(0);
            let mut finished = BTreeSet::new();
            for (start, length) in ranges {
                progress.finish(start..start + length, 0);
                finished.extend(start..start + length);
                for offset in 0..80 {
                    prop_assert_eq!(progress.contains(offset), finished.contains(&offset));
                }
            }
        }
    }
}
