//! Keeps on running what the function table says: one task for each function, so that none waits for another's compile.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::execute::revisions::CallableRevision;
use crate::invoke::admission::InstanceAdmission;
use crate::kafka::admin::metadata_probe::{MetadataProbe, PartitionOffsets};
use crate::model::function::SharedRevision;
use crate::model::function_table::{DesiredState, FunctionTable};
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::status::{FunctionObserver, FunctionState, FunctionStatus};
use crate::pipeline::background::BackgroundRuntime;
use crate::pipeline::build::KafkaContext;
use crate::pipeline::calls::NotCalled;
use crate::pipeline::function::{FunctionTask, FunctionView};
use crate::telemetry::exposition::HostMetrics;
use crate::telemetry::guest_lines::GuestLines;
use crate::wasm::WasmEngine;

/// Where the modules of revisions come from.
pub(crate) trait ArtifactSource: Send + Sync {
    /// The module of `revision`. The error says what a person should do.
    fn module(&self, revision: SharedRevision) -> BoxFuture<'_, Result<Arc<[u8]>, String>>;
}

/// What every function of a host runs on.
#[derive(Clone)]
pub(crate) struct HostServices {
    pub(crate) environment: KafkaContext,
    pub(crate) engine: WasmEngine,
    /// The host's budget of instances.
    pub(crate) admission: Arc<InstanceAdmission>,
    pub(crate) artifacts: Arc<dyn ArtifactSource>,
    /// Where what may wait is worked on.
    pub(crate) aside: BackgroundRuntime,
    pub(crate) metrics: HostMetrics,
}

/// Asks the supervisor. Cheap to clone.
#[derive(Clone)]
pub(crate) struct FunctionDirectory {
    views: Arc<Mutex<BTreeMap<FunctionName, Arc<FunctionView>>>>,
    survey: MetadataProbe,
}

impl FunctionDirectory {
    /// Sees no functions yet; asks `survey` where partitions end.
    pub(crate) fn new(survey: MetadataProbe) -> Self {
        Self { views: Arc::default(), survey }
    }

    pub(crate) fn view(&self, name: &FunctionName) -> Option<Arc<FunctionView>> {
        self.views.lock().get(name).cloned()
    }

    /// What can be called of `name`.
    pub(crate) fn callable(&self, name: &FunctionName) -> Result<Arc<CallableRevision>, NotCalled> {
        let view = self.view(name);
        view.as_ref().and_then(|view| view.on_call.callable()).ok_or_else(|| NotCalled::Unavailable {
            function: name.clone(),
            reason: view.and_then(|view| view.state().2),
        })
    }

    /// What the guests of `name` wrote last.
    pub(crate) fn lines(&self, name: &FunctionName) -> Option<Arc<GuestLines>> {
        self.view(name).map(|view| view.lines.clone())
    }

    /// How long running calls may take to end when the host stops: the longest `drain_timeout` of its functions.
    pub(crate) fn longest_drain(&self) -> Duration {
        self.all().iter().map(|view| view.drain_timeout()).max().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<Arc<FunctionView>> {
        self.views.lock().values().cloned().collect()
    }

    /// Asks where the partitions of `views` end. Where Kafka does not say, what was known stays.
    pub(crate) async fn learn_ends(&self, views: &[Arc<FunctionView>]) -> PartitionOffsets {
        let leases: Vec<_> = views.iter().flat_map(|view| view.leases()).collect();
        let mut partitions: Vec<_> = leases.iter().map(|lease| lease.partition.clone()).collect();
        partitions.sort_unstable();
        partitions.dedup();
        let ends = self.survey.ends(partitions).await;
        // Others than were asked for may be there by now.
        for lease in views.iter().flat_map(|view| view.leases()) {
            if let Some(end) = ends.get(&lease.partition) {
                lease.raise_end(*end);
            }
        }
        ends
    }

    fn set(&self, name: &FunctionName, view: Option<Arc<FunctionView>>) {
        let mut views = self.views.lock();
        match view {
            Some(view) => views.insert(name.clone(), view),
            None => views.remove(name),
        };
    }
}

impl FunctionObserver for FunctionDirectory {
    fn status<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Option<FunctionStatus>> {
        Box::pin(async move {
            let view = self.view(name)?;
            self.learn_ends(std::slice::from_ref(&view)).await;
            Some(view.status())
        })
    }

    fn statuses(&self) -> BoxFuture<'_, Vec<FunctionStatus>> {
        Box::pin(async move {
            let views = self.all();
            self.learn_ends(&views).await;
            views.iter().map(|view| view.status()).collect()
        })
    }

    fn state(&self, name: &FunctionName) -> Option<(RevisionNumber, FunctionState, Option<String>)> {
        self.view(name).map(|view| view.state())
    }

    fn kafka_is_silent_for(&self) -> Option<Duration> {
        self.survey.silent_for()
    }
}

struct RunningFunction {
    wanted: watch::Sender<DesiredState>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

pub(crate) struct FunctionSupervisor {
    ground: HostServices,
    table: watch::Receiver<Arc<FunctionTable>>,
    handle: FunctionDirectory,
    running: BTreeMap<FunctionName, RunningFunction>,
    stopping: Vec<JoinHandle<()>>,
}

impl FunctionSupervisor {
    /// A supervisor that follows `table`.
    pub(crate) fn new(
        ground: HostServices,
        table: watch::Receiver<Arc<FunctionTable>>,
        handle: FunctionDirectory,
    ) -> Self {
        Self { ground, table, handle, running: BTreeMap::new(), stopping: Vec::new() }
    }

    /// Works until `stop`; then every function drains, commits and leaves its group.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let table = self.table.borrow_and_update().clone();
            self.follow(&table);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.table.changed() => if changed.is_err() {
                    // No one decides any more what should run: what runs continues.
                    stop.cancelled().await;
                    break;
                },
            }
        }
        for running in std::mem::take(&mut self.running).into_values() {
            running.stop.cancel();
            self.stopping.push(running.task);
        }
        for task in self.stopping {
            if let Err(error) = task.await {
                tracing::error!(%error, "a function's task ended early");
            }
        }
    }

    fn follow(&mut self, table: &FunctionTable) {
        self.stopping.retain(|task| !task.is_finished());
        let gone: Vec<_> = self.running.keys().filter(|name| !table.functions.contains_key(name)).cloned().collect();
        for name in gone {
            if let Some(running) = self.running.remove(&name) {
                running.stop.cancel();
                self.stopping.push(running.task);
                self.handle.set(&name, None);
                self.ground.metrics.remove(&name);
            }
        }
        for (name, wanted) in &table.functions {
            match self.running.get(name) {
                Some(running) => {
                    let is_new = |before: &mut DesiredState| {
                        let changed = !before.is_same(wanted);
                        if changed {
                            *before = wanted.clone();
                        }
                        changed
                    };
                    running.wanted.send_if_modified(is_new);
                }
                None => {
                    let running = self.start(name, wanted.clone());
                    self.running.insert(name.clone(), running);
                }
            }
        }
    }

    fn start(&self, name: &FunctionName, wanted: DesiredState) -> RunningFunction {
        let metrics = self.ground.metrics.function(name);
        let (asks, asked) = mpsc::unbounded_channel();
        let view = Arc::new(FunctionView::new(wanted.revision.clone(), metrics.clone(), asks));
        self.handle.set(name, Some(view.clone()));
        let (wanted, to_task) = watch::channel(wanted);
        let stop = CancellationToken::new();
        let task = FunctionTask::new(self.ground.clone(), metrics, view, to_task, asked);
        let task = tokio::spawn(task.run(stop.clone()));
        RunningFunction { wanted, stop, task }
    }
}
