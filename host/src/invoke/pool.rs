//! The instances of one revision: idle ones are kept warm and used again, the youngest first.
//!
//! Invariants: an instance is in one call or idle, never both; one that faulted, or whose call was dropped, is gone;
//! each holds one place of the host's budget for as long as it lives.

mod busy;
mod idle;
mod recycling;
mod upkeep;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Moment};

use tokio::sync::Notify;

use self::busy::PollTime;
use self::idle::IdleStack;
use self::recycling::RecyclingCount;
use crate::invoke::admission::{IdleInstances, InstanceAdmission, InstancePermit};
use crate::invoke::emulate::{self, StartKind};
use crate::model::function::{InstancePolicy, Isolation};
use crate::model::outcome::{FaultClass, GuestFault};
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::{GuestInstance, Sandbox, StartError};

/// How soon a start is tried again when the engine's memory slots, and not the budget, are exhausted.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(2);

/// A pool. Clones share it; it ends with the last.
#[derive(Clone)]
pub(crate) struct InstancePool {
    shared: Arc<PoolState>,
}

struct PoolState {
    sandbox: Sandbox,
    settings: InstancePolicy,
    admission: Arc<InstanceAdmission>,
    metrics: Arc<FunctionMetrics>,
    idle: IdleStack,
    alive: Arc<AtomicUsize>,
    recycling: RecyclingCount,
    /// Wakes the upkeep when there may be something to refill.
    lost: Arc<Notify>,
}

/// An instance and what it holds. Fields are dropped in this order: the place is free only when the instance is gone.
struct PooledInstance {
    instance: GuestInstance,
    /// How often it was called.
    calls: u64,
    _life: InstanceLife,
    _place: InstancePermit,
}

/// Counts an instance while it lives.
struct InstanceLife {
    alive: Arc<AtomicUsize>,
    metrics: Arc<FunctionMetrics>,
    /// Notified where instances are kept ready. Waking a task for each of 100,000 instances a second costs more than they do.
    lost: Option<Arc<Notify>>,
}

impl InstanceLife {
    fn begin(shared: &PoolState) -> Self {
        shared.alive.fetch_add(1, Ordering::Relaxed);
        shared.metrics.instances.inc();
        let PoolState { alive, metrics, lost, settings, .. } = shared;
        let lost = (settings.min > 0).then(|| Arc::clone(lost));
        Self { alive: Arc::clone(alive), metrics: Arc::clone(metrics), lost }
    }
}

impl Drop for InstanceLife {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        self.metrics.instances.dec();
        if let Some(lost) = &self.lost {
            lost.notify_one();
        }
    }
}

impl InstancePool {
    /// A pool of instances from `sandbox`. It starts the task that refills and reaps, so it needs a runtime.
    pub(crate) fn new(
        sandbox: Sandbox,
        settings: &InstancePolicy,
        admission: Arc<InstanceAdmission>,
        metrics: Arc<FunctionMetrics>,
    ) -> Self {
        let shared = Arc::new(PoolState {
            sandbox,
            settings: settings.clone(),
            admission,
            metrics,
            idle: IdleStack::default(),
            alive: Arc::default(),
            recycling: RecyclingCount::default(),
            lost: Arc::default(),
        });
        let weak = Arc::downgrade(&shared);
        shared.admission.register(weak.clone());
        tokio::spawn(upkeep::run(weak, Arc::clone(&shared.lost)));
        Self { shared }
    }

    /// Calls the guest with a flat batch of `records` records, for at most `limit`, and gives its flat answer.
    ///
    /// It waits as long as the host has no place for an instance. Dropping the future discards the instance.
    pub(crate) async fn call(&self, request: &[u8], records: usize, limit: Duration) -> Result<Vec<u8>, GuestFault> {
        self.call_telling(request, records, limit).await.0
    }

    /// The same, and how the instance was when the call came.
    pub(crate) async fn call_telling(
        &self,
        request: &[u8],
        records: usize,
        limit: Duration,
    ) -> (Result<Vec<u8>, GuestFault>, StartKind) {
        let shared = &*self.shared;
        let (mut pooled, mut start) = match shared.idle.take_youngest() {
            Some(idle) => (idle, StartKind::Hot),
            None => match shared.start().await {
                Ok(started) => (started, StartKind::Cold),
                Err(fault) => return (Err(fault), StartKind::Cold),
            },
        };
        loop {
            let earlier_calls = pooled.calls;
            let result = shared.call(&mut pooled, start, request, records, limit).await;
            if earlier_calls == 0 || !matches!(&result, Err(fault) if fault.class == FaultClass::Memory) {
                shared.give_back(pooled);
                return (result, start);
            }
            // What earlier calls left in its memory says nothing about these records: they get a fresh instance. In this
            // order: the place of the full one may be the only one.
            drop(pooled);
            shared.recycling.note(earlier_calls);
            shared.metrics.recycled_instances.inc();
            pooled = match shared.start().await {
                Ok(started) => started,
                Err(fault) => return (Err(fault), StartKind::Cold),
            };
            start = StartKind::Cold;
        }
    }

    /// Says that instances often run out of memory that earlier calls kept, and what to do. Nothing where they do not.
    pub(crate) fn memory_hint(&self) -> Option<String> {
        let calls = self.shared.recycling.often_after()?;
        Some(format!(
            "its instances run out of limits.memory after {calls} calls on average: the guest keeps memory between \
             calls; free it in the guest, raise limits.memory, or set instances.isolation = \"batch\""
        ))
    }

    /// How many instances there are, idle or not.
    pub(crate) fn alive(&self) -> usize {
        self.shared.alive.load(Ordering::Relaxed)
    }
}

impl PoolState {
    async fn call(
        &self,
        pooled: &mut PooledInstance,
        start: StartKind,
        request: &[u8],
        records: usize,
        limit: Duration,
    ) -> Result<Vec<u8>, GuestFault> {
        let delay = emulate::delay(self.settings.emulate.as_ref(), start);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if pooled.calls > 0 {
            self.metrics.hot_starts.inc();
        }
        pooled.calls += 1;
        let began = Moment::now();
        let (result, busy) = PollTime::new(pin!(pooled.instance.call(request, records, limit))).await;
        let took = began.elapsed();
        self.metrics.call_seconds.observe(took.as_secs_f64());
        let answered = result.as_ref().map_or(0, Vec::len) as u64;
        let memory = pooled.instance.memory_bytes();
        self.metrics.usage.count(records as u64, memory, took, busy, request.len() as u64, answered);
        result
    }

    /// Starts an instance as soon as there is a place.
    async fn start(&self) -> Result<PooledInstance, GuestFault> {
        let wanted = Moment::now();
        let place = self.admission.place().await;
        self.start_in(place, wanted).await
    }

    async fn start_in(&self, place: InstancePermit, wanted: Moment) -> Result<PooledInstance, GuestFault> {
        let instance = loop {
            match self.sandbox.start().await {
                Ok(instance) => break instance,
                Err(StartError::Fault(fault)) => return Err(fault),
                Err(StartError::Exhausted) => {
                    // Modules with many memories use up the engine's slots before the budget is used up.
                    self.admission.evict_oldest();
                    tokio::time::sleep(EXHAUSTED_WAIT).await;
                }
            }
        };
        self.metrics.cold_start_seconds.observe(wanted.elapsed().as_secs_f64());
        self.metrics.cold_starts.inc();
        Ok(PooledInstance { instance, calls: 0, _life: InstanceLife::begin(self), _place: place })
    }

    /// Keeps an instance for the next call if it may be kept.
    fn give_back(&self, warm: PooledInstance) {
        let settings = &self.settings;
        let is_kept = warm.instance.is_healthy()
            && matches!(settings.isolation, None | Some(Isolation::Shared))
            && (!settings.keep_warm.is_zero() || settings.min > 0);
        if is_kept {
            self.keep(warm);
        }
    }

    fn keep(&self, warm: PooledInstance) {
        self.idle.put(warm);
        // In this order: a caller that waits looks at the idle instances after it has said that it waits.
        if self.admission.is_exhausted() {
            self.idle.drop_oldest();
        }
    }
}

impl IdleInstances for PoolState {
    fn oldest(&self) -> Option<Moment> {
        self.idle.oldest()
    }

    fn evict_oldest(&self) {
        self.idle.drop_oldest();
    }
}

impl std::fmt::Debug for InstancePool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Pool({} alive)", self.alive())
    }
}

#[cfg(test)]
mod measure;
#[cfg(test)]
mod tests;
