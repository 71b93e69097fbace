//! One function on this host: its shards, and the way from one revision to the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::build::{Environment, build};
use super::revisions::{Callable, Revisions};
use super::shard::{Control, Ending, Shard, ShardView};
use super::supervisor::Ground;
use crate::emit::encoder::Encoder;
use crate::invoke::call::Invoker;
use crate::invoke::pool::Pool;
use crate::kafka::consumer;
use crate::model::function::{Manifest, ProcessingGuarantee, SharedRevision};
use crate::model::status::{FunctionStatus, State};
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::log::TracingLog;

/// Waits before a failed start is tried again: the first, doubled up to the longest.
const TRY_AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// See the module.
pub struct FunctionTask {
    ground: Ground,
    metrics: Arc<FunctionMetrics>,
    view: Arc<FunctionView>,
    wanted: watch::Receiver<SharedRevision>,
    running: Option<Running>,
}

struct Running {
    manifest: Manifest,
    revisions: Revisions,
    shards: Vec<mpsc::Sender<Control>>,
}

impl FunctionTask {
    /// A task that runs the revisions which `wanted` tells.
    pub fn new(
        ground: Ground,
        metrics: Arc<FunctionMetrics>,
        view: Arc<FunctionView>,
        wanted: watch::Receiver<SharedRevision>,
    ) -> Self {
        Self { ground, metrics, view, wanted, running: None }
    }

    /// Works until `stop`; then the shards drain, commit and leave the group.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut wait = TRY_AGAIN_AFTER.0;
        loop {
            let revision = self.wanted.borrow_and_update().clone();
            let moved = tokio::select! {
                moved = self.move_to(revision.clone()) => moved,
                () = stop.cancelled() => break,
            };
            let try_again = match moved {
                Ok(()) => {
                    wait = TRY_AGAIN_AFTER.0;
                    self.view.now_runs(revision);
                    None
                }
                Err(reason) => {
                    tracing::error!(function = %revision.manifest.name, revision = %revision.number, %reason,
                        "a revision could not be started; it is tried again");
                    self.view.failed(reason);
                    let this_time = wait;
                    wait = (wait * 2).min(TRY_AGAIN_AFTER.1);
                    Some(this_time)
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.wanted.changed() => if changed.is_err() { break },
                () = sleep(try_again) => {}
            }
        }
        self.stop_shards().await;
    }

    async fn move_to(&mut self, revision: SharedRevision) -> Result<(), String> {
        let callable = Arc::new(self.callable(&revision).await?);
        if let Some(running) = &self.running
            && is_live_switch(&running.manifest, &revision.manifest)
        {
            running.revisions.switch_to(callable);
            for shard in &running.shards {
                // A shard that ended says so in its view.
                let _ = shard.send(Control::Revise(revision.clone())).await;
            }
            return Ok(());
        }
        self.stop_shards().await;
        let revisions = Revisions::new(callable);
        let mut shards = Vec::new();
        let mut views = Vec::new();
        for index in 0..revision.manifest.shards {
            let plan = Plan {
                environment: self.ground.environment.clone(),
                revisions: revisions.clone(),
                metrics: self.metrics.clone(),
                index,
                view: Arc::default(),
            };
            let shard = plan.build().map_err(|error| format!("shard {index} did not start: {error}"))?;
            views.push(plan.view.clone());
            let (control, told) = mpsc::channel(4);
            tokio::spawn(plan.keep_running(shard, told));
            shards.push(control);
        }
        self.view.show(views);
        self.running = Some(Running { manifest: revision.manifest.clone(), revisions, shards });
        Ok(())
    }

    async fn callable(&self, revision: &SharedRevision) -> Result<Callable, String> {
        let module = self.ground.artifacts.module(revision.clone()).await?;
        let program = self.ground.engine.load(module, revision.digest).await.map_err(|error| error.to_string())?;
        let logs = Arc::new(TracingLog::new(revision.stamp()));
        let sandbox = program.sandbox(revision, self.metrics.clone(), logs);
        let instances = &revision.manifest.instances;
        let pool = Pool::new(sandbox, instances, self.ground.admission.clone(), self.metrics.clone());
        let Environment { admin, cluster, .. } = &self.ground.environment;
        let outputs = revision.manifest.outputs.values().map(|output| output.topic.as_str());
        let batches = admin.batch_limits(outputs.chain([revision.manifest.dead_letter_topic.as_str()])).await;
        Ok(Callable {
            revision: revision.clone(),
            invoker: Invoker::new(revision.clone(), pool, cluster.clone()),
            encoder: Encoder::new(revision, &batches),
            batches,
        })
    }

    async fn stop_shards(&mut self) {
        let Some(running) = self.running.take() else { return };
        let mut answers = Vec::new();
        for shard in running.shards {
            let (answer, stopped) = oneshot::channel();
            // A shard that ended has nothing to stop.
            if shard.send(Control::Stop(answer)).await.is_ok() {
                answers.push(stopped);
            }
        }
        for stopped in answers {
            let _ = stopped.await;
        }
        self.view.show(Vec::new());
    }
}

/// How a shard is built, also a second time.
struct Plan {
    environment: Environment,
    revisions: Revisions,
    metrics: Arc<FunctionMetrics>,
    index: usize,
    view: Arc<ShardView>,
}

impl Plan {
    fn build(&self) -> Result<Shard, consumer::Error> {
        build(&self.environment, &self.revisions, &self.metrics, self.index, &self.view)
    }

    /// Runs the shard, and another one in its place when it needs a new consumer.
    async fn keep_running(self, first: Shard, mut control: mpsc::Receiver<Control>) {
        let mut shard = first;
        while shard.run(&mut control).await == Ending::Starved {
            shard = match self.build() {
                Ok(next) => next,
                // The same settings made a consumer before.
                Err(error) => return self.view.note_trouble(error.to_string(), true),
            };
        }
    }
}

/// Whether the new manifest can take over without a stop: how records are taken, ordered and committed stays.
fn is_live_switch(old: &Manifest, new: &Manifest) -> bool {
    old.topics == new.topics
        && old.ordering == new.ordering
        && old.concurrency == new.concurrency
        && old.shards == new.shards
        && old.delivery == new.delivery
        && old.kafka == new.kafka
        && old.processing_guarantee == new.processing_guarantee
        // A transactional producer knows its topics' compressions, and what they take, from its start.
        && (old.processing_guarantee == ProcessingGuarantee::AtLeastOnce
            || (old.outputs == new.outputs && old.dead_letter_topic == new.dead_letter_topic))
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// What others see of a function.
#[derive(Debug)]
pub struct FunctionView {
    metrics: Arc<FunctionMetrics>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    revision: SharedRevision,
    failure: Option<String>,
    shards: Vec<Arc<ShardView>>,
}

impl FunctionView {
    /// A function that is about to start.
    pub fn new(revision: SharedRevision, metrics: Arc<FunctionMetrics>) -> Self {
        Self { metrics, seen: Mutex::new(Seen { revision, failure: None, shards: Vec::new() }) }
    }

    fn now_runs(&self, revision: SharedRevision) {
        let mut seen = self.seen();
        seen.revision = revision;
        seen.failure = None;
    }

    fn failed(&self, reason: String) {
        self.seen().failure = Some(reason);
    }

    fn show(&self, shards: Vec<Arc<ShardView>>) {
        self.seen().shards = shards;
    }

    /// The status. Asks Kafka for the ends of partitions: blocks, so it tells the runtime.
    pub fn status(&self) -> FunctionStatus {
        let (revision, failure, shards) = {
            let seen = self.seen();
            (seen.revision.clone(), seen.failure.clone(), seen.shards.clone())
        };
        let partitions = tokio::task::block_in_place(|| shards.iter().flat_map(|shard| shard.partitions()).collect());
        let stalled = shards.iter().find_map(|shard| shard.stalled());
        let passing = shards.iter().find_map(|shard| shard.passing());
        let has_joined = !shards.is_empty() && shards.iter().all(|shard| shard.has_joined());
        let (state, reason) = match (failure, stalled, has_joined) {
            (Some(reason), ..) => (State::Failed, Some(reason)),
            (None, Some(reason), _) => (State::Stalled, Some(reason)),
            (None, None, true) => (State::Running, passing),
            (None, None, false) => (State::Starting, passing),
        };
        FunctionStatus {
            name: revision.manifest.name.to_string(),
            revision: revision.number.0,
            state,
            reason,
            partitions,
            counters: self.metrics.counters(),
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
