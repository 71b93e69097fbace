//! The host-wide budget of instances.
//!
//! A permit comes before an instance. When there is none, the instance that has been idle for longest, in any pool, gives
//! way; when none is idle, the caller waits. So exhaustion is back-pressure and never a guest's fault.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A pool as the budget sees it.
pub(crate) trait IdleInstances: Send + Sync {
    /// Since when the pool's longest idle instance is idle.
    fn oldest(&self) -> Option<Instant>;
    fn evict_oldest(&self);
}

/// The right to have one instance; given back when dropped.
#[derive(Debug)]
pub(crate) struct InstancePermit(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

pub(crate) struct InstanceAdmission {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    pools: Mutex<Vec<Weak<dyn IdleInstances>>>,
}

impl InstanceAdmission {
    pub(crate) fn new(max_instances: usize) -> Self {
        let places = Arc::new(Semaphore::new(max_instances.min(Semaphore::MAX_PERMITS)));
        Self { places, waiting: AtomicUsize::new(0), pools: Mutex::default() }
    }

    /// Makes a pool known whose idle instances may have to give way. Pools that are gone are forgotten.
    pub(crate) fn register(&self, pool: Weak<dyn IdleInstances>) {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    /// Takes a place, waiting for one if need be.
    pub(crate) async fn place(&self) -> InstancePermit {
        if let Some(place) = self.try_place() {
            return place;
        }
        let _waiting = WaitingCaller::new(&self.waiting);
        // In this order: an instance that is returned from now on sees a waiting caller.
        self.evict_oldest();
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(permit) => InstancePermit(permit),
            // The semaphore is never closed.
            Err(_closed) => std::future::pending().await,
        }
    }

    /// Takes a place if one is free.
    pub(crate) fn try_place(&self) -> Option<InstancePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok().map(InstancePermit)
    }

    /// Whether a caller waits for a permit, so that instances should rather end than be idle.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Drops the instance that has been idle for longest.
    pub(crate) fn evict_oldest(&self) {
        let pools: Vec<Arc<dyn IdleInstances>> = {
            let pools = self.pools.lock();
            pools.iter().filter_map(Weak::upgrade).collect()
        };
        let longest_idle = pools.iter().filter_map(|pool| Some((pool.oldest()?, pool))).min_by_key(|(since, _)| *since);
        if let Some((_, pool)) = longest_idle {
            pool.evict_oldest();
        }
    }
}

impl std::fmt::Debug for InstanceAdmission {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Admission({} free)", self.places.available_permits())
    }
}

/// Counts a caller while it waits, also if it stops waiting.
struct WaitingCaller<'a>(&'a AtomicUsize);

impl<'a> WaitingCaller<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for WaitingCaller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
