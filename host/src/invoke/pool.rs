//! The instances of one revision: idle ones are kept warm and used again, the youngest first.
//!
//! Invariants: an instance is in one call or idle, never both; one that faulted, or whose call was dropped, is gone;
//! each holds one place of the host's budget for as long as it lives.

mod busy;
mod idle;
mod upkeep;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant as Moment};

use tokio::sync::Notify;

use self::busy::Busy;
use self::idle::Idle;
use super::admission::{Admission, Idlers, Place};
use super::emulate::{self, Start};
use crate::model::function::{Instances, Isolation};
use crate::model::outcome::Fault;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::{Instance, Sandbox, StartError};

/// How soon a start is tried again when the engine's memory slots, and not the budget, are exhausted.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(2);

/// A pool. Clones share it; it ends with the last.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    sandbox: Sandbox,
    settings: Instances,
    admission: Arc<Admission>,
    metrics: Arc<FunctionMetrics>,
    idle: Idle,
    alive: Arc<AtomicUsize>,
    /// Wakes the upkeep when there may be something to refill.
    lost: Arc<Notify>,
    closed: AtomicBool,
}

/// An instance and what it holds. Fields are dropped in this order: the place is free only when the instance is gone.
struct Warm {
    instance: Instance,
    is_used: bool,
    _life: Life,
    _place: Place,
}

/// Counts an instance while it lives.
struct Life {
    alive: Arc<AtomicUsize>,
    metrics: Arc<FunctionMetrics>,
    /// Told where instances are kept ready. Waking a task for each of 100,000 instances a second costs more than they do.
    lost: Option<Arc<Notify>>,
}

impl Life {
    fn begin(shared: &Shared) -> Self {
        shared.alive.fetch_add(1, Ordering::Relaxed);
        shared.metrics.instances.inc();
        let Shared { alive, metrics, lost, settings, .. } = shared;
        let lost = (settings.min > 0).then(|| Arc::clone(lost));
        Self { alive: Arc::clone(alive), metrics: Arc::clone(metrics), lost }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
        self.metrics.instances.dec();
        if let Some(lost) = &self.lost {
            lost.notify_one();
        }
    }
}

impl Pool {
    /// A pool of instances from `sandbox`. It starts the task that refills and reaps, so it needs a runtime.
    pub fn new(
        sandbox: Sandbox,
        settings: &Instances,
        admission: Arc<Admission>,
        metrics: Arc<FunctionMetrics>,
    ) -> Self {
        let shared = Arc::new(Shared {
            sandbox,
            settings: settings.clone(),
            admission,
            metrics,
            idle: Idle::default(),
            alive: Arc::default(),
            lost: Arc::default(),
            closed: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&shared);
        shared.admission.register(weak.clone());
        tokio::spawn(upkeep::run(weak, Arc::clone(&shared.lost)));
        Self { shared }
    }

    /// Calls the guest with a flat batch of `records` records, for at most `limit`, and gives its flat answer.
    ///
    /// It waits as long as the host has no place for an instance. Dropping the future discards the instance.
    pub async fn call(&self, request: &[u8], records: usize, limit: Duration) -> Result<Vec<u8>, Fault> {
        self.call_telling(request, records, limit).await.0
    }

    /// The same, and how the instance was when the call came.
    pub async fn call_telling(
        &self,
        request: &[u8],
        records: usize,
        limit: Duration,
    ) -> (Result<Vec<u8>, Fault>, Start) {
        let shared = &*self.shared;
        let (mut warm, start) = match shared.idle.take_youngest() {
            Some(warm) => (warm, Start::Hot),
            None => match shared.start().await {
                Ok(warm) => (warm, Start::Cold),
                Err(fault) => return (Err(fault), Start::Cold),
            },
        };
        let delay = emulate::delay(shared.settings.emulate.as_ref(), start);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if std::mem::replace(&mut warm.is_used, true) {
            shared.metrics.hot_starts.inc();
        }
        let began = Moment::now();
        let (result, busy) = Busy::new(pin!(warm.instance.call(request, records, limit))).await;
        let took = began.elapsed();
        shared.metrics.call_seconds.observe(took.as_secs_f64());
        let answered = result.as_ref().map_or(0, Vec::len) as u64;
        let memory = warm.instance.memory_bytes();
        shared.metrics.usage.count(records as u64, memory, took, busy, request.len() as u64, answered);
        shared.give_back(warm);
        (result, start)
    }

    /// How many instances there are, idle or not.
    pub fn alive(&self) -> usize {
        self.shared.alive.load(Ordering::Relaxed)
    }

    /// Drops idle instances, and keeps none from now on. Running calls go on.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.idle.clear();
        self.shared.lost.notify_one();
    }
}

impl Shared {
    /// Starts an instance as soon as there is a place.
    async fn start(&self) -> Result<Warm, Fault> {
        let wanted = Moment::now();
        let place = self.admission.place().await;
        self.start_in(place, wanted).await
    }

    async fn start_in(&self, place: Place, wanted: Moment) -> Result<Warm, Fault> {
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
        Ok(Warm { instance, is_used: false, _life: Life::begin(self), _place: place })
    }

    /// Keeps an instance for the next call if it may be kept.
    fn give_back(&self, warm: Warm) {
        let settings = &self.settings;
        let is_kept = warm.instance.is_healthy()
            && matches!(settings.isolation, None | Some(Isolation::Shared))
            && (!settings.keep_warm.is_zero() || settings.min > 0);
        if is_kept {
            self.keep(warm);
        }
    }

    fn keep(&self, warm: Warm) {
        self.idle.put(warm);
        // Looked at afterwards: whoever closes or waits looks at the idle ones after it said so.
        if self.closed.load(Ordering::SeqCst) {
            self.idle.clear();
        } else if self.admission.is_exhausted() {
            self.idle.drop_oldest();
        }
    }
}

impl Idlers for Shared {
    fn oldest(&self) -> Option<Moment> {
        self.idle.oldest()
    }

    fn evict_oldest(&self) {
        self.idle.drop_oldest();
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Pool({} alive)", self.alive())
    }
}

#[cfg(test)]
mod measure;
#[cfg(test)]
mod tests;
