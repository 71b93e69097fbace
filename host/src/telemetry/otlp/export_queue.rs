//! Where spans and lines wait until they are sent: so many bytes, and what is beyond is dropped and counted. Anyone who puts
//! something in never waits.

use parking_lot::{Mutex, MutexGuard};

use prometheus_client::metrics::counter::Counter;
use prost::Message;
use tokio::sync::Notify;

/// The most that waits, in bytes as they are sent.
const MOST: usize = 4 << 20;
/// So much is sent without waiting for more.
const PORTION: usize = 1 << 20;

/// What became of spans, figures or lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExportCounters {
    /// Those that the collector took.
    pub(crate) sent: Counter,
    /// Those that were not sent, or not taken.
    pub(crate) dropped: Counter,
}

#[derive(Debug)]
pub(crate) struct ExportQueue<T> {
    kept: Mutex<QueueState<T>>,
    is_worth_sending: Notify,
    counts: ExportCounters,
}

#[derive(Debug)]
struct QueueState<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T: Message> ExportQueue<T> {
    pub(crate) fn new(counts: ExportCounters) -> Self {
        let kept = Mutex::new(QueueState { items: Vec::new(), bytes: 0 });
        Self { kept, is_worth_sending: Notify::new(), counts }
    }

    /// Puts in what `make` makes, unless it is full already: then nothing is made.
    pub(crate) fn put(&self, make: impl FnOnce() -> T) {
        if self.kept().bytes >= MOST {
            self.counts.dropped.inc();
            return;
        }
        let item = make();
        let bytes = item.encoded_len();
        let mut kept = self.kept();
        if kept.bytes + bytes > MOST {
            // Full is full: else small ones would continue to pass large ones by.
            kept.bytes = kept.bytes.max(MOST);
            self.counts.dropped.inc();
            return;
        }
        let was_small = kept.bytes < PORTION;
        kept.bytes += bytes;
        kept.items.push(item);
        if was_small && kept.bytes >= PORTION {
            self.is_worth_sending.notify_one();
        }
    }

    pub(crate) fn take(&self) -> Vec<T> {
        let mut kept = self.kept();
        kept.bytes = 0;
        std::mem::take(&mut kept.items)
    }

    /// Waits until there is a portion.
    pub(crate) async fn worth_sending(&self) {
        self.is_worth_sending.notified().await;
    }

    fn kept(&self) -> MutexGuard<'_, QueueState<T>> {
        self.kept.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_beyond_is_dropped_and_counted_and_nobody_waits() {
        let counts = ExportCounters::default();
        let basket = ExportQueue::new(counts.clone());
        let item = "x".repeat(MOST / 8);
        let (mut made, puts) = (0, 20);
        for _ in 0..puts {
            basket.put(|| {
                made += 1;
                item.clone()
            });
        }
        basket.worth_sending().await;
        let kept = basket.take();
        assert!((6..8).contains(&kept.len()), "{}", kept.len());
        assert_eq!(counts.dropped.get(), puts - kept.len() as u64);
        assert_eq!(made, kept.len() + 1, "what finds no place is not made");
        basket.put(|| item.clone());
        assert_eq!(basket.take().len(), 1, "there is room again");
        assert_eq!(counts.dropped.get(), puts - kept.len() as u64);
    }
}
