//! One sandbox that runs: a store, an instance in it, and its entry.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use wasmtime::Store;

use crate::model::outcome::{FaultClass, GuestFault};
use crate::wasm::entry::BoundEntry;
use crate::wasm::fault;
use crate::wasm::sandbox;
use crate::wasm::state::GuestState;

/// What an answer may have beside the emissions: reasons, and a frame for each record.
const ANSWER_SLACK: u64 = 64 * 1024;
const ANSWER_SLACK_PER_RECORD: u64 = 4 * 1024;
/// A limit that is never reached.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A started instance. It is used by one call at a time; dropping it frees all it has.
pub(crate) struct GuestInstance {
    store: Store<GuestState>,
    entry: BoundEntry,
    sandbox: Arc<sandbox::SandboxState>,
    healthy: bool,
}

impl GuestInstance {
    pub(crate) fn new(store: Store<GuestState>, entry: BoundEntry, sandbox: Arc<sandbox::SandboxState>) -> Self {
        let mut instance = Self { store, entry, sandbox, healthy: true };
        instance.account();
        instance
    }

    /// Whether it may be called again. After a fault, a refused growth or a call that was cancelled it may not.
    pub(crate) fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Bytes of linear memory that it has.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.store.data().limiter.memory_bytes()
    }

    /// Calls the guest with a flat batch of `records` records, for at most `limit`, and gives its flat answer.
    ///
    /// A future that is dropped before its end leaves the instance unhealthy.
    pub(crate) async fn call(
        &mut self,
        request: &[u8],
        records: usize,
        limit: Duration,
    ) -> Result<Vec<u8>, GuestFault> {
        if !self.healthy {
            return Err(GuestFault::new(FaultClass::Trap, "the instance failed in an earlier call"));
        }
        self.healthy = false;
        let answer_max = self.answer_max(records);
        let deadline = after(limit);
        let state = self.store.data_mut();
        state.deadline = deadline;
        state.log.begin();
        self.store.set_epoch_deadline(1);

        // The epoch stops a guest that computes, this timer one that waits in a host call.
        let calling = self.entry.call(&mut self.store, request, records, answer_max);
        let called = tokio::time::timeout_at(deadline.into(), calling).await;
        self.account();
        let state = self.store.data_mut();
        match called {
            Ok(Ok(answer)) if answer.len() > answer_max => Err(fault::output_limit(&self.sandbox.limits)),
            Ok(Ok(answer)) => {
                // A guest that continued after it was refused memory may be in any state.
                self.healthy = state.limiter.refusal().is_none() && !state.is_spent;
                Ok(answer)
            }
            Ok(Err(error)) => Err(fault::classify(&error, state, &self.sandbox.limits, limit)),
            Err(_elapsed) => {
                state.timed_out = true;
                Err(fault::timeout(state, limit))
            }
        }
    }

    fn answer_max(&self, records: usize) -> usize {
        let records = records as u64;
        let slack = ANSWER_SLACK.saturating_add(records.saturating_mul(ANSWER_SLACK_PER_RECORD));
        let bytes = self.sandbox.limits.output.saturating_mul(records).saturating_add(slack);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Closes the account of a call or of the start.
    fn account(&mut self) {
        let state = self.store.data();
        let metrics = &self.sandbox.metrics;
        let dropped = state.log.end();
        if dropped > 0 {
            metrics.log_bytes_dropped.inc_by(dropped);
        }
        let memory = i64::try_from(state.limiter.memory_bytes()).unwrap_or(i64::MAX);
        if memory > metrics.memory_high_water_bytes.get() {
            metrics.memory_high_water_bytes.set(memory);
        }
    }
}

/// The point in time after `limit`, or after so long that it does not matter.
pub(crate) fn after(limit: Duration) -> Moment {
    let now = Moment::now();
    now.checked_add(limit).unwrap_or(now + FOR_EVER)
}

impl std::fmt::Debug for GuestInstance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Instance").field("healthy", &self.healthy).finish_non_exhaustive()
    }
}
