//! The engine of the host: one for all functions.

use std::sync::Arc;

use wasmtime::component::Linker;

use crate::error_code::ErrorCode;
use crate::wasm::compile::CompileError;
use crate::wasm::config::{self, CompileLocation, EngineOptions};
use crate::wasm::load::ModuleLoader;
use crate::wasm::state::GuestState;
use crate::wasm::ticker::{self, BusyGuard};
use crate::wasm::timer::TimerHandle;
use crate::wasm::{cache, link};

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The engine refuses its settings, or the system refuses it the address space.
    #[error(
        "cannot reserve the address space for {max_instances} instances: {reason:#}; lower instances.total, or lift \
         this process's limit of address space (ulimit -v, LimitAS)"
    )]
    Settings { max_instances: u32, reason: wasmtime::Error },
    /// The interfaces that guests may import could not be linked.
    #[error("cannot link the interfaces of guests: {0:#}")]
    Link(wasmtime::Error),
    /// A thread could not be started.
    #[error("cannot start a thread of the Wasm engine: {0}")]
    Thread(std::io::Error),
    /// The folder of compiled code cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// The compiler cannot be run.
    #[error(transparent)]
    Compiler(#[from] CompileError),
}

impl EngineError {
    /// What it is to anyone who starts the engine.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Settings { .. } => ErrorCode::InvalidHostConfig,
            Self::Cache(_) => ErrorCode::DataDirUnusable,
            Self::Link(_) | Self::Thread(_) | Self::Compiler(_) => ErrorCode::Internal,
        }
    }
}

/// Loads modules and runs guests. Clones share everything.
#[derive(Clone)]
pub(crate) struct WasmEngine {
    pub(crate) shared: Arc<EngineState>,
}

/// What all clones of an engine and all its guests share.
pub(crate) struct EngineState {
    pub(crate) wasm: wasmtime::Engine,
    pub(crate) linker: Linker<GuestState>,
    pub(crate) core_linker: wasmtime::Linker<GuestState>,
    pub(crate) timer: Arc<TimerHandle>,
    pub(crate) busy: BusyGuard,
    pub(crate) loader: ModuleLoader,
}

impl WasmEngine {
    /// Sets up the engine and starts its two threads, which end with the last clone.
    pub(crate) fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let EngineOptions { max_instances, compile, perf_map } = options;
        let mut settings = config::host_settings(max_instances);
        if perf_map {
            settings.profiler(wasmtime::ProfilingStrategy::PerfMap);
        }
        let wasm =
            wasmtime::Engine::new(&settings).map_err(|reason| EngineError::Settings { max_instances, reason })?;
        let linker = link::linker(&wasm).map_err(EngineError::Link)?;
        let core_linker = link::core_linker(&wasm).map_err(EngineError::Link)?;
        let loader = match compile {
            CompileLocation::InProcess => ModuleLoader::in_process(),
            CompileLocation::Child { command, limits, cache } => {
                ModuleLoader::in_child(command, limits, &cache, &wasm)?
            }
        };
        let busy = BusyGuard::default();
        ticker::start(wasm.weak(), busy.clone()).map_err(EngineError::Thread)?;
        let timer = Arc::new(TimerHandle::start().map_err(EngineError::Thread)?);
        Ok(Self { shared: Arc::new(EngineState { wasm, linker, core_linker, timer, busy, loader }) })
    }
}

impl std::fmt::Debug for WasmEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Engine")
    }
}
