//! How large a batch of messages an output topic takes. Kafka refuses a larger one as a whole, and its messages would
//! then be written after later ones.

use std::collections::BTreeMap;

/// The most bytes of a batch: a power of two, so that topics of any size are served by a few producers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BatchBytes(u32);

impl BatchBytes {
    /// What fits a topic that takes batches of `largest` bytes.
    pub(crate) fn within(largest: u64) -> Self {
        let largest = u32::try_from(largest).unwrap_or(u32::MAX).clamp(1, 1 << 30);
        Self(1 << largest.ilog2())
    }

    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

/// What the topics of one function take, as far as they said it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BatchLimits(BTreeMap<String, BatchBytes>);

impl BatchLimits {
    pub(crate) fn of(&self, topic: &str) -> Option<BatchBytes> {
        self.0.get(topic).copied()
    }

    /// What all of them take.
    pub(crate) fn smallest(&self) -> Option<BatchBytes> {
        self.0.values().min().copied()
    }
}

impl FromIterator<(String, u64)> for BatchLimits {
    /// From topics with their `max.message.bytes`.
    fn from_iter<I: IntoIterator<Item = (String, u64)>>(topics: I) -> Self {
        Self(topics.into_iter().map(|(topic, largest)| (topic, BatchBytes::within(largest))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_never_larger_than_its_topic_takes() {
        for largest in [1, 2, 3, 1_000, 20_000, 1_048_588, u64::from(u32::MAX), u64::MAX] {
            let bytes = u64::from(BatchBytes::within(largest).get());
            assert!(bytes <= largest && bytes > largest.min(1 << 30) / 2, "{largest}: {bytes}");
        }
        assert_eq!(BatchBytes::within(0).get(), 1);
    }

    #[test]
    fn one_producer_for_all_fits_the_smallest() {
        let limits: BatchLimits = [("a".to_owned(), 20_000), ("b".to_owned(), 1_000_000)].into_iter().collect();
        assert_eq!(limits.smallest(), Some(BatchBytes::within(20_000)));
        assert_eq!((limits.of("b"), limits.of("c")), (Some(BatchBytes::within(1_000_000)), None));
        assert_eq!(BatchLimits::default().smallest(), None);
    }
}
