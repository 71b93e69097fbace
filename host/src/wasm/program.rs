//! A module that is ready to run: compiled, linked and type-checked.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use wasmtime::component::{Component, InstancePre};

use super::engine::{self, Engine};
use super::entry::Entry;
use super::load::LoadError;
use super::log::LogSink;
use super::sandbox::Sandbox;
use super::shape::Inspection;
use super::state::GuestState;
use crate::model::function::{Limits, Revision, Shape};
use crate::telemetry::function_metrics::FunctionMetrics;

/// A loaded module. Clones share it.
#[derive(Clone)]
pub struct Program {
    shared: Arc<Shared>,
}

/// What all instances of a program share.
pub(super) struct Shared {
    pub(super) engine: Arc<engine::Shared>,
    pub(super) instance: InstancePre<GuestState>,
    pub(super) entry: Entry,
    shape: Shape,
}

impl Program {
    /// Links `component` and finds its entry.
    pub(super) fn new(engine: &Engine, component: &Component, inspection: &Inspection) -> Result<Self, LoadError> {
        let unfit = |error: wasmtime::Error| LoadError::Fit(format!("{error:#}"));
        let instance = engine.shared.linker.instantiate_pre(component).map_err(unfit)?;
        let entry = Entry::find(&instance, inspection).map_err(unfit)?;
        // Here rather than at the first start, and once for all instances.
        component.initialize_copy_on_write_image().map_err(unfit)?;
        let engine = Arc::clone(&engine.shared);
        Ok(Self { shared: Arc::new(Shared { engine, instance, entry, shape: inspection.shape }) })
    }

    pub(super) fn from_shared(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.shared)
    }

    /// How the module is called.
    pub fn shape(&self) -> Shape {
        self.shared.shape
    }

    /// Whether many records in one call cost the guest one call. If not, it is called once per record all the same.
    pub fn takes_batches(&self) -> bool {
        self.shared.shape == Shape::MillstreamBatch
    }

    /// The program under the limits and with the environment of `revision`. What the guest writes goes to `logs`.
    pub fn sandbox(&self, revision: &Arc<Revision>, metrics: Arc<FunctionMetrics>, logs: LogSink) -> Sandbox {
        let manifest = &revision.manifest;
        self.sandbox_with(&manifest.limits, &manifest.env, metrics, logs)
    }

    /// The program under these limits and with this environment, without a revision.
    pub fn sandbox_with(
        &self,
        limits: &Limits,
        env: &BTreeMap<String, String>,
        metrics: Arc<FunctionMetrics>,
        logs: LogSink,
    ) -> Sandbox {
        Sandbox::new(Arc::clone(&self.shared), limits.clone(), env, metrics, logs)
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Program({:?})", self.shared.shape)
    }
}
