//! The idle instances of a pool, in the order in which they became idle.
//!
//! Instances are dropped outside of the lock: giving their memory back takes a while.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::time::{Duration, Instant as Moment};

use crate::invoke::pool::PooledInstance;

#[derive(Default)]
pub(crate) struct IdleStack {
    instances: Mutex<VecDeque<(Moment, PooledInstance)>>,
}

impl IdleStack {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Moment, PooledInstance)>> {
        self.instances.lock()
    }

    pub(crate) fn put(&self, warm: PooledInstance) {
        self.lock().push_back((Moment::now(), warm));
    }

    /// The one whose memory is most likely still in the processor's caches.
    pub(crate) fn take_youngest(&self) -> Option<PooledInstance> {
        self.lock().pop_back().map(|(_, warm)| warm)
    }

    pub(crate) fn oldest(&self) -> Option<Moment> {
        self.lock().front().map(|(since, _)| *since)
    }

    pub(crate) fn drop_oldest(&self) {
        let oldest = self.lock().pop_front();
        drop(oldest);
    }

    /// Drops those that have been idle for `keep_warm`, but not more than `at_most`.
    pub(crate) fn drop_expired(&self, keep_warm: Duration, at_most: usize) {
        let now = Moment::now();
        let expired: Vec<_> = {
            let mut instances = self.lock();
            let count = instances.iter().take(at_most).take_while(|(since, _)| now - *since >= keep_warm).count();
            instances.drain(..count).collect()
        };
        drop(expired);
    }
}
