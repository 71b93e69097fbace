//! From the bytes of a module to a program: inspected, compiled or found in the cache, linked, type-checked.
//!
//! Loads of the same digest wait for one another and share one program; compilations run one after another, so that
//! uploads cannot take the processors from the data path.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use tokio::sync::Semaphore;

use crate::error_code::ErrorCode;
use crate::model::ids::ArtifactDigest;
use crate::wasm::cache::{CacheError, CodeCache, EngineRefusal};
use crate::wasm::compile::{self, CompileError, CompileLimits, CompiledCode, CompilerCommand};
use crate::wasm::engine::{EngineError, WasmEngine};
use crate::wasm::program::{self, LoadedProgram};
use crate::wasm::shape::{self, BinaryForm, ShapeError};

/// Why a module is not a program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Its outer form is refused.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// What it imports or exports has other types than the host's.
    #[error("the module does not fit this host: {0}")]
    Fit(String),
    /// Compiled code cannot be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The host ended, or it has a fault.
    #[error("loading the module was interrupted: {0}")]
    Interrupted(String),
}

impl LoadError {
    /// What it is to anyone who gave the module: the same through a host and on the command line.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Shape(_) => ErrorCode::ModuleRefused,
            Self::Compile(CompileError::WallTime(_) | CompileError::CpuTime(_) | CompileError::Memory(_)) => {
                ErrorCode::CompileTooCostly
            }
            Self::Compile(CompileError::Refused(_) | CompileError::Died(_)) | Self::Fit(_) => ErrorCode::CompileFailed,
            Self::Compile(CompileError::Run { .. }) | Self::Cache(_) | Self::Interrupted(_) => ErrorCode::Internal,
        }
    }
}

/// The program of a digest while someone has it, under a lock that is held while it is loaded.
type ProgramSlot = Arc<tokio::sync::Mutex<Weak<program::ProgramState>>>;

/// What loading needs and remembers.
pub(crate) struct ModuleLoader {
    compiler: ModuleCompiler,
    slots: Mutex<HashMap<ArtifactDigest, ProgramSlot>>,
    turn: Semaphore,
}

enum ModuleCompiler {
    InProcess,
    Child { command: CompilerCommand, limits: CompileLimits, cache: Arc<CodeCache> },
}

impl ModuleLoader {
    /// Compiles in this process and keeps nothing.
    pub(crate) fn in_process() -> Self {
        Self::new(ModuleCompiler::InProcess)
    }

    /// Compiles in a child and keeps compiled code in `folder`.
    pub(crate) fn in_child(
        command: CompilerCommand,
        limits: CompileLimits,
        folder: &Path,
        engine: &wasmtime::Engine,
    ) -> Result<Self, EngineError> {
        let cache = Arc::new(CodeCache::open(folder, engine)?);
        Ok(Self::new(ModuleCompiler::Child { command, limits, cache }))
    }

    fn new(compiler: ModuleCompiler) -> Self {
        Self { compiler, slots: Mutex::default(), turn: Semaphore::new(1) }
    }

    fn slot(&self, digest: ArtifactDigest) -> ProgramSlot {
        let mut slots = self.slots.lock();
        // Forget programs that no one has or loads.
        slots.retain(|_, slot| {
            let is_wanted = Arc::strong_count(slot) > 1;
            is_wanted || slot.try_lock().is_ok_and(|program| program.strong_count() > 0)
        });
        Arc::clone(slots.entry(digest).or_default())
    }

    /// Removes code that no engine of these settings will load.
    async fn remove(&self, digest: &ArtifactDigest) -> Result<(), LoadError> {
        let ModuleCompiler::Child { cache, .. } = &self.compiler else { return Ok(()) };
        let (cache, digest) = (Arc::clone(cache), *digest);
        Ok(blocking(move || cache.remove(&digest)).await??)
    }

    async fn compile(
        &self,
        engine: &wasmtime::Engine,
        digest: &ArtifactDigest,
        module: &Arc<[u8]>,
        form: BinaryForm,
    ) -> Result<CompiledCode, LoadError> {
        let (command, limits, cache) = match &self.compiler {
            ModuleCompiler::Child { command, limits, cache } => (command, limits, cache),
            ModuleCompiler::InProcess => {
                let (engine, module) = (engine.clone(), Arc::clone(module));
                return Ok(blocking(move || compile::compile(&engine, &module, form)).await??);
            }
        };
        match cached(engine, digest, cache, form).await? {
            Ok(Some(compiled)) => return Ok(compiled),
            Ok(None) => {}
            Err(EngineRefusal(reason)) => {
                tracing::warn!(%digest, %reason, "compiled code cannot be loaded: compiling again")
            }
        }
        let turn = self.turn.acquire().await.map_err(|error| LoadError::Interrupted(error.to_string()))?;
        let file = cache.new_file()?;
        compile::run(command, limits, module, file.path()).await?;
        drop(turn);
        let (keeper, kept) = (Arc::clone(cache), *digest);
        blocking(move || keeper.keep(&kept, file)).await??;
        match cached(engine, digest, cache, form).await? {
            Ok(Some(compiled)) => Ok(compiled),
            Ok(None) => Err(LoadError::Interrupted("compiled code is not where it was put".to_owned())),
            // It is this engine's own code, so the module asks for what no instance may have.
            Err(EngineRefusal(reason)) => {
                self.remove(digest).await?;
                Err(CompileError::Refused(reason).into())
            }
        }
    }
}

async fn cached(
    engine: &wasmtime::Engine,
    digest: &ArtifactDigest,
    cache: &Arc<CodeCache>,
    form: BinaryForm,
) -> Result<Result<Option<CompiledCode>, EngineRefusal>, LoadError> {
    let (engine, digest, cache) = (engine.clone(), *digest, Arc::clone(cache));
    blocking(move || cache.get(&engine, &digest, form)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| LoadError::Interrupted(error.to_string()))
}

impl WasmEngine {
    /// Loads `module`, whose digest is `digest`.
    pub(crate) async fn load(&self, module: Arc<[u8]>, digest: ArtifactDigest) -> Result<LoadedProgram, LoadError> {
        let loader = &self.shared.loader;
        let slot = loader.slot(digest);
        let mut loaded = slot.lock().await;
        if let Some(shared) = loaded.upgrade() {
            return Ok(LoadedProgram::from_shared(shared));
        }
        let inspected = Arc::clone(&module);
        let form = blocking(move || shape::inspect(&inspected)).await??;
        let compiled = loader.compile(&self.shared.wasm, &digest, &module, form).await?;
        // The image of a large module's memory is laid out by it.
        let engine = self.clone();
        let program = blocking(move || LoadedProgram::new(&engine, &compiled)).await??;
        *loaded = program.downgrade();
        Ok(program)
    }
}
