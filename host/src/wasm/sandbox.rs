//! A program under the limits of one revision, from which instances are started.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use wasmtime::{PoolConcurrencyLimitError, Store, StoreContextMut, UpdateDeadline};

use crate::model::function::{FunctionLimits, ModuleShape};
use crate::model::outcome::GuestFault;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::capability::environment::GuestEnvironment;
use crate::wasm::config::{MEMORY_MAX, TABLE_ELEMENTS_MAX};
use crate::wasm::fault;
use crate::wasm::guest_log::GuestLog;
use crate::wasm::instance::GuestInstance;
use crate::wasm::limiter::InstanceLimiter;
use crate::wasm::log::LogSink;
use crate::wasm::program;
use crate::wasm::state::GuestState;

/// Bytes that a host call may take from a guest that starts.
const HOSTCALL_BYTES: usize = 1 << 20;

/// Why there is no instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartError {
    /// The guest failed while it started.
    #[error(transparent)]
    Fault(#[from] GuestFault),
    /// All places of the engine are taken: no fault of the guest, to be tried again when an instance has gone.
    #[error("all places for instances are taken")]
    Exhausted,
}

/// Starts instances of one revision. Clones share everything.
#[derive(Clone)]
pub(crate) struct Sandbox {
    shared: Arc<SandboxState>,
}

/// What all instances of a revision share.
pub(crate) struct SandboxState {
    pub(crate) limits: FunctionLimits,
    pub(crate) metrics: Arc<FunctionMetrics>,
    program: Arc<program::ProgramState>,
    environment: GuestEnvironment,
    logs: LogSink,
}

impl Sandbox {
    pub(crate) fn new(
        program: Arc<program::ProgramState>,
        limits: FunctionLimits,
        env: &BTreeMap<String, String>,
        metrics: Arc<FunctionMetrics>,
        logs: LogSink,
    ) -> Self {
        let environment = GuestEnvironment::new(env);
        Self { shared: Arc::new(SandboxState { limits, metrics, program, environment, logs }) }
    }

    /// The wall time of one invocation, which the start of an instance has too.
    pub(crate) fn timeout(&self) -> Duration {
        self.shared.limits.timeout
    }

    /// Starts an instance: its memory is laid out and its start functions run, under all limits.
    pub(crate) async fn start(&self) -> Result<GuestInstance, StartError> {
        let SandboxState { limits, program, .. } = &*self.shared;
        let mut store = self.store();
        let starting = program.code.start(&mut store);
        let started = match tokio::time::timeout(limits.timeout, starting).await {
            Ok(started) => started,
            Err(_elapsed) => {
                store.data_mut().timed_out = true;
                Err(wasmtime::format_err!("the start was stopped in a host call"))
            }
        };
        match started {
            Ok(entry) => Ok(GuestInstance::new(store, entry, Arc::clone(&self.shared))),
            Err(error) if error.is::<PoolConcurrencyLimitError>() => Err(StartError::Exhausted),
            Err(error) => {
                self.shared.metrics.log_bytes_dropped.inc_by(store.data().log.end());
                Err(StartError::Fault(fault::classify(&error, store.data(), limits, limits.timeout)))
            }
        }
    }

    /// How long the engine alone takes to instantiate the program, in a store that is there: what a start would cost
    /// without all that the host adds. For measurements.
    pub(crate) async fn bare_start(&self) -> Result<Duration, StartError> {
        let mut store = self.store();
        let starting = Moment::now();
        let started = self.shared.program.code.start_bare(&mut store).await;
        let took = starting.elapsed();
        let limits = &self.shared.limits;
        match started {
            Ok(()) => Ok(took),
            Err(error) => Err(StartError::Fault(fault::classify(&error, store.data(), limits, limits.timeout))),
        }
    }

    #[cfg(test)]
    pub(crate) fn program(&self) -> &program::ProgramState {
        &self.shared.program
    }

    /// A store for one instance, with its state and limits.
    pub(crate) fn store(&self) -> Store<GuestState> {
        let SandboxState { limits, program, environment, logs, .. } = &*self.shared;
        let engine = &program.engine;
        let limiter =
            InstanceLimiter::new(limits.memory.min(MEMORY_MAX), limits.table_elements.min(TABLE_ELEMENTS_MAX));
        let log = GuestLog::new(Arc::clone(logs), limits.logs);
        let timer = Arc::clone(&engine.timer);
        let is_command = program.shape == ModuleShape::WasiCommand;
        let (environment, busy) = (environment.clone(), engine.busy.clone());
        let state = GuestState::new(environment, timer, busy, limiter, log, limits.timeout, is_command);
        let mut store = Store::new(&engine.wasm, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(on_tick);
        store
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Sandbox({:?})", self.shared.limits)
    }
}

/// Runs whenever the epoch moves while a guest computes: lets others run, or ends the guest's time.
fn on_tick(mut store: StoreContextMut<'_, GuestState>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    if Moment::now() >= state.deadline {
        state.timed_out = true;
        return Ok(UpdateDeadline::Interrupt);
    }
    state.busy.mark();
    // The runtime's own yield, and not the engine's, lets the runtime look at timers and sockets.
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
}
