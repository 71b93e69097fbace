//! Places for connections, so many and no more. When all are taken, the client that keeps the host waiting longest loses
//! its own to the next one.
//!
//! So clients that send slowly, or not at all, keep no one out, however many they are: who sends its request at once is
//! served before its turn to lose comes. A connection whose request is worked on loses its place to no one.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All places. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionLimiter(Arc<LimiterState>);

#[derive(Debug)]
struct LimiterState {
    most: usize,
    taken: Mutex<OpenConnections>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct OpenConnections {
    next: u64,
    holders: HashMap<u64, ConnectionHolder>,
}

#[derive(Debug)]
struct ConnectionHolder {
    /// Since when the host waits for this client; nothing while the client waits for the host.
    waiting_since: Option<Instant>,
    lost: CancellationToken,
}

impl ConnectionLimiter {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(LimiterState { most, taken: Mutex::default(), freed: Notify::new() }))
    }

    /// Takes a place, if need be that of the client that is waited for longest.
    pub(crate) async fn take(&self) -> ConnectionSlot {
        loop {
            let freed = self.0.freed.notified();
            if let Some(place) = self.try_take() {
                return place;
            }
            freed.await;
        }
    }

    fn try_take(&self) -> Option<ConnectionSlot> {
        let mut taken = self.0.taken();
        if taken.holders.len() >= self.0.most {
            let waited_for = taken.holders.values().filter(|holder| !holder.lost.is_cancelled());
            let waited_for = waited_for.filter_map(|holder| Some((holder.waiting_since?, holder)));
            if let Some((_, holder)) = waited_for.min_by_key(|(since, _)| *since) {
                holder.lost.cancel();
            }
            return None;
        }
        let id = taken.next;
        taken.next += 1;
        let lost = CancellationToken::new();
        taken.holders.insert(id, ConnectionHolder { waiting_since: Some(Instant::now()), lost: lost.clone() });
        Some(ConnectionSlot(Arc::new(SlotGuard { shared: Arc::clone(&self.0), id, lost })))
    }
}

impl LimiterState {
    fn taken(&self) -> MutexGuard<'_, OpenConnections> {
        self.taken.lock()
    }
}

/// A connection's place, free again when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionSlot(Arc<SlotGuard>);

#[derive(Debug)]
struct SlotGuard {
    shared: Arc<LimiterState>,
    id: u64,
    lost: CancellationToken,
}

impl ConnectionSlot {
    /// Ends when the place is another client's.
    pub(crate) async fn lost(&self) {
        self.0.lost.cancelled().await;
    }

    /// Notes whether the host waits for the client now.
    pub(crate) fn note(&self, is_waited_for: bool) {
        if let Some(holder) = self.0.shared.taken().holders.get_mut(&self.0.id)
            && holder.waiting_since.is_some() != is_waited_for
        {
            holder.waiting_since = is_waited_for.then(Instant::now);
        }
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.shared.taken().holders.remove(&self.id);
        self.shared.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_lost(place: &ConnectionSlot) -> bool {
        tokio::time::timeout(Duration::from_millis(1), place.lost()).await.is_ok()
    }

    #[tokio::test]
    async fn who_is_waited_for_longest_loses_and_who_is_served_does_not() {
        let places = ConnectionLimiter::new(3);
        let (served, slowest, slow) = (places.take().await, places.take().await, places.take().await);
        served.note(false);
        let next = tokio::spawn({
            let places = places.clone();
            async move { places.take().await }
        });
        slowest.lost().await;
        assert!(!is_lost(&slow).await && !is_lost(&served).await);
        assert!(!next.is_finished(), "the place is still held");
        drop(slowest);
        let next = next.await.unwrap();
        next.note(false);
        slow.note(false);
        let last = tokio::time::timeout(Duration::from_millis(50), places.take()).await;
        assert!(last.is_err(), "all are served");
        drop(slow);
        places.take().await;
    }

    #[tokio::test]
    async fn a_place_that_is_held_twice_is_free_when_both_let_go() {
        let places = ConnectionLimiter::new(1);
        let place = places.take().await;
        place.note(false);
        let second = place.clone();
        drop(place);
        assert!(tokio::time::timeout(Duration::from_millis(20), places.take()).await.is_err());
        drop(second);
        places.take().await;
    }
}
