//! A module that is ready to run: compiled, linked and type-checked.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use wasmtime::component::{Component, InstancePre};
use wasmtime::{Module, Store};

use crate::model::function::{FunctionLimits, ModuleShape, Revision};
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::compile::CompiledCode;
use crate::wasm::engine::{self, WasmEngine};
use crate::wasm::entry::{BoundEntry, EntryPoint};
use crate::wasm::load::LoadError;
use crate::wasm::log::LogSink;
use crate::wasm::sandbox::Sandbox;
use crate::wasm::shape::{self, ShapeError};
use crate::wasm::state::GuestState;

/// A loaded module. Clones share it.
#[derive(Clone)]
pub(crate) struct LoadedProgram {
    shared: Arc<ProgramState>,
}

/// What all instances of a program share.
pub(crate) struct ProgramState {
    pub(crate) engine: Arc<engine::EngineState>,
    pub(crate) code: ProgramCode,
    pub(crate) shape: ModuleShape,
}

/// What instances are made of.
pub(crate) enum ProgramCode {
    /// A component, and the function of it that is called.
    Component(InstancePre<GuestState>, EntryPoint),
    /// A core module that is a command.
    Command(wasmtime::InstancePre<GuestState>),
}

impl ProgramCode {
    /// Makes an instance, whose start functions run.
    pub(crate) async fn start(&self, store: &mut Store<GuestState>) -> wasmtime::Result<BoundEntry> {
        match self {
            Self::Component(code, entry) => {
                let instance = code.instantiate_async(&mut *store).await?;
                entry.bind(&instance, store)
            }
            Self::Command(code) => {
                let instance = code.instantiate_async(&mut *store).await?;
                BoundEntry::command(&instance, store)
            }
        }
    }

    /// Makes an instance and nothing else, for measurements.
    pub(crate) async fn start_bare(&self, store: &mut Store<GuestState>) -> wasmtime::Result<()> {
        match self {
            Self::Component(code, _) => code.instantiate_async(store).await.map(drop),
            Self::Command(code) => code.instantiate_async(store).await.map(drop),
        }
    }
}

impl LoadedProgram {
    /// Links `compiled` and finds its entry.
    pub(crate) fn new(engine: &WasmEngine, compiled: &CompiledCode) -> Result<Self, LoadError> {
        let (code, shape) = match compiled {
            CompiledCode::Component(component) => link_component(engine, component)?,
            CompiledCode::Module(module) => (link_command(engine, module)?, ModuleShape::WasiCommand),
        };
        let engine = Arc::clone(&engine.shared);
        Ok(Self { shared: Arc::new(ProgramState { engine, code, shape }) })
    }

    pub(crate) fn from_shared(shared: Arc<ProgramState>) -> Self {
        Self { shared }
    }

    pub(crate) fn downgrade(&self) -> Weak<ProgramState> {
        Arc::downgrade(&self.shared)
    }

    /// How the module is called.
    pub(crate) fn shape(&self) -> ModuleShape {
        self.shared.shape
    }

    /// The program under the limits and with the environment of `revision`. What the guest writes goes to `logs`.
    pub(crate) fn sandbox(&self, revision: &Arc<Revision>, metrics: Arc<FunctionMetrics>, logs: LogSink) -> Sandbox {
        let manifest = &revision.manifest;
        self.sandbox_with(&manifest.limits, &manifest.env, metrics, logs)
    }

    /// The program under these limits and with this environment, without a revision.
    pub(crate) fn sandbox_with(
        &self,
        limits: &FunctionLimits,
        env: &BTreeMap<String, String>,
        metrics: Arc<FunctionMetrics>,
        logs: LogSink,
    ) -> Sandbox {
        Sandbox::new(Arc::clone(&self.shared), limits.clone(), env, metrics, logs)
    }
}

fn unfit(error: wasmtime::Error) -> LoadError {
    LoadError::Fit(format!("{error:#}"))
}

fn link_component(engine: &WasmEngine, component: &Component) -> Result<(ProgramCode, ModuleShape), LoadError> {
    let interface = component.component_type();
    let exports: Vec<&str> = interface.exports(&engine.shared.wasm).map(|(name, _)| name).collect();
    let imports: Vec<&str> = interface.imports(&engine.shared.wasm).map(|(name, _)| name).collect();
    // Seen before for what was uploaded as a component, but not for what was made one.
    let called = shape::called(&exports, &imports)?;
    let instance = engine.shared.linker.instantiate_pre(component).map_err(unfit)?;
    let entry = EntryPoint::find(&instance, &called).map_err(unfit)?;
    // Here rather than at the first start, and once for all instances.
    component.initialize_copy_on_write_image().map_err(unfit)?;
    Ok((ProgramCode::Component(instance, entry), called.shape))
}

fn link_command(engine: &WasmEngine, module: &Module) -> Result<ProgramCode, LoadError> {
    let is_run = |function: &wasmtime::FuncType| function.params().len() == 0 && function.results().len() == 0;
    if !module.get_export(shape::START).is_some_and(|export| export.func().is_some_and(is_run)) {
        let found = module.exports().map(|export| export.name().to_owned()).collect::<Vec<_>>().join(", ");
        return Err(ShapeError::CoreModule { exports: format!("{found} (a _start with arguments or results)") }.into());
    }
    let instance = engine.shared.core_linker.instantiate_pre(module).map_err(unfit)?;
    module.initialize_copy_on_write_image().map_err(unfit)?;
    Ok(ProgramCode::Command(instance))
}

impl std::fmt::Debug for LoadedProgram {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Program({:?})", self.shared.shape)
    }
}
