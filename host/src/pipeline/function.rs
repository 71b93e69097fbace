//! One function on this host: its shards, and the way from one revision to the next.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::execute::revisions::CallableRevisions;
use crate::model::function::{Manifest, ProcessingGuarantee, SharedRevision};
use crate::model::function_table::DesiredState;
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::lease::PartitionLease;
use crate::model::status::{FunctionState, FunctionStatus};
use crate::pipeline::build::build;
use crate::pipeline::calls::OnCall;
use crate::pipeline::shard::{ShardControl, ShardHandle};
use crate::pipeline::shard_view::ShardView;
use crate::pipeline::supervisor::HostServices;
use crate::pipeline::topics::KnownTopics;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::telemetry::guest_lines::GuestLines;

/// Waits before a failed start is tried again: the first, doubled up to the longest.
const TRY_AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

pub(crate) struct FunctionTask {
    ground: HostServices,
    metrics: Arc<FunctionMetrics>,
    view: Arc<FunctionView>,
    wanted: watch::Receiver<DesiredState>,
    asked: mpsc::UnboundedReceiver<WatchdogRequest>,
    running: Option<RunningShards>,
}

/// What the watchdog asks of a function.
#[derive(Debug)]
pub(crate) enum WatchdogRequest {
    Rebuild(Arc<ShardView>),
    /// Read nothing more of this topic.
    Halt(String),
}

struct RunningShards {
    revision: SharedRevision,
    paused: bool,
    revisions: CallableRevisions,
    shards: Vec<ShardHandle>,
}

impl FunctionTask {
    /// A task that does what `wanted` says.
    pub(crate) fn new(
        ground: HostServices,
        metrics: Arc<FunctionMetrics>,
        view: Arc<FunctionView>,
        wanted: watch::Receiver<DesiredState>,
        asked: mpsc::UnboundedReceiver<WatchdogRequest>,
    ) -> Self {
        Self { ground, metrics, view, wanted, asked, running: None }
    }

    /// Works until `stop`; then the shards drain, commit and leave the group.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut wait = TRY_AGAIN_AFTER.0;
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let moved = tokio::select! {
                moved = self.heed(&wanted) => moved,
                () = stop.cancelled() => break,
            };
            let revision = wanted.revision;
            let look_again = match moved {
                Ok(look_again) => {
                    wait = TRY_AGAIN_AFTER.0;
                    self.view.now_runs(revision);
                    look_again
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
            if !self.until_next_move(&stop, look_again.map(|wait| Instant::now() + wait)).await {
                break;
            }
        }
        self.stop_shards().await;
    }

    /// Does what is wanted. Gives when to look again although nothing else is wanted by then.
    async fn heed(&mut self, wanted: &DesiredState) -> Result<Option<Duration>, String> {
        if let Some(left) = wanted.aside_for() {
            self.view.steps_aside(true);
            self.stop_shards().await;
            // Anyone who moves the offsets says where to continue, whatever the topics were before.
            self.view.topics.forget();
            return Ok(Some(left));
        }
        self.view.steps_aside(false);
        self.move_to(&wanted.revision, wanted.paused).await?;
        self.view.show_shadow(wanted.shadow.as_ref().map(|shadow| shadow.revision.number));
        if let Some(running) = self.running.as_mut().filter(|running| running.paused != wanted.paused) {
            running.paused = wanted.paused;
            for shard in &running.shards {
                shard.send(ShardControl::Pause(wanted.paused));
            }
        }
        Ok(None)
    }

    /// Handles requests until something is to be started: another revision, or one that did not start. Not when it is over.
    async fn until_next_move(&mut self, stop: &CancellationToken, look_again: Option<Instant>) -> bool {
        loop {
            let request = tokio::select! {
                () = stop.cancelled() => return false,
                changed = self.wanted.changed() => return changed.is_ok(),
                () = sleep_until(look_again) => return true,
                Some(request) = self.asked.recv() => request,
            };
            match request {
                WatchdogRequest::Rebuild(stuck) => {
                    if let Err(reason) = self.rebuild(&stuck).await {
                        tracing::error!(%reason, "a shard could not be restarted; the whole function is");
                        self.view.failed(reason);
                        self.stop_shards().await;
                        return true;
                    }
                }
                WatchdogRequest::Halt(topic) => {
                    for shard in self.running.iter().flat_map(|running| &running.shards) {
                        shard.send(ShardControl::Halt(topic.clone()));
                    }
                }
            }
        }
    }

    async fn rebuild(&mut self, stuck: &Arc<ShardView>) -> Result<(), String> {
        let Some(running) = &mut self.running else { return Ok(()) };
        // It may have been replaced since.
        let is_it = |shard: &Arc<ShardView>| Arc::ptr_eq(shard, stuck);
        let Some(index) = self.view.shards().iter().position(is_it) else { return Ok(()) };
        let reason = stuck.fatal().or_else(|| stuck.stalled());
        // No answer means that it ended another way.
        let _ = running.shards[index].stop().await;
        let mut shard = build(&self.ground.environment, &running.revisions, &self.metrics, &self.view.topics, index)
            .map_err(|error| format!("shard {index} did not start: {error}"))?;
        if running.paused {
            shard.start_paused();
        }
        if let Some(reason) = reason {
            // It may be over in a moment; anyone who looks soon should still learn of it.
            shard.view().note_trouble(reason, false);
        }
        self.view.replace(index, shard.view());
        running.shards[index] = ShardHandle::start(shard);
        Ok(())
    }

    async fn move_to(&mut self, revision: &SharedRevision, paused: bool) -> Result<(), String> {
        if self.running.as_ref().is_some_and(|running| running.revision.number == revision.number) {
            return Ok(());
        }
        let (metrics, lines) = (self.metrics.clone(), self.view.lines.clone());
        let callable = Arc::new(self.ground.callable_with_lines(revision, metrics, lines).await?);
        self.view.on_call.set(&callable);
        if let Some(running) = &mut self.running
            && is_live_switch(&running.revision.manifest, &revision.manifest)
        {
            running.revision = revision.clone();
            running.revisions.switch_to(callable);
            for shard in &running.shards {
                shard.send(ShardControl::Revise(revision.clone()));
            }
            return Ok(());
        }
        self.stop_shards().await;
        let revisions = CallableRevisions::new(callable);
        let mut shards = Vec::new();
        let mut views = Vec::new();
        for index in 0..revision.manifest.shards {
            let mut shard = build(&self.ground.environment, &revisions, &self.metrics, &self.view.topics, index)
                .map_err(|error| format!("shard {index} did not start: {error}"))?;
            if paused {
                shard.start_paused();
            }
            views.push(shard.view());
            shards.push(ShardHandle::start(shard));
        }
        self.view.show(views);
        self.running = Some(RunningShards { revision: revision.clone(), paused, revisions, shards });
        Ok(())
    }

    async fn stop_shards(&mut self) {
        let Some(running) = self.running.take() else { return };
        // All at once; one that ended has nothing to stop.
        let stopping: Vec<_> = running.shards.iter().map(ShardHandle::stop).collect();
        for stopped in stopping {
            let _ = stopped.await;
        }
        self.view.show(Vec::new());
    }
}

/// Whether the new manifest can take over without a stop: how records are taken, ordered and committed stays.
fn is_live_switch(old: &Manifest, new: &Manifest) -> bool {
    // Each field is named, so that a new one must be decided on.
    let Manifest {
        name: _,
        topics,
        initial_offset: _,
        ordering,
        concurrency,
        shards,
        processing_guarantee,
        dead_letter_topic,
        env: _,
        outputs,
        filters: _,
        limits: _,
        logs: _,
        instances: _,
        retry: _,
        delivery,
        schedule: _,
        kafka,
    } = old;
    *topics == new.topics
        && old.ticks() == new.ticks()
        && *ordering == new.ordering
        && *concurrency == new.concurrency
        && *shards == new.shards
        && *delivery == new.delivery
        && *kafka == new.kafka
        && *processing_guarantee == new.processing_guarantee
        // A transactional producer knows its topics' compressions, and what they take, from its start.
        && (*processing_guarantee == ProcessingGuarantee::AtLeastOnce
            || (*outputs == new.outputs && *dead_letter_topic == new.dead_letter_topic))
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What others see of a function.
#[derive(Debug)]
pub(crate) struct FunctionView {
    /// The topics that it reads.
    pub(crate) topics: Arc<KnownTopics>,
    /// What its guests wrote last.
    pub(crate) lines: Arc<GuestLines>,
    /// What can be called of it.
    pub(crate) on_call: OnCall,
    asks: mpsc::UnboundedSender<WatchdogRequest>,
    metrics: Arc<FunctionMetrics>,
    seen: Mutex<ViewState>,
}

#[derive(Debug)]
struct ViewState {
    revision: SharedRevision,
    failure: Option<String>,
    is_aside: bool,
    /// The revision that is to run beside the live one.
    shadow: Option<RevisionNumber>,
    shards: Vec<Arc<ShardView>>,
}

impl FunctionView {
    /// A function that is about to start.
    pub(crate) fn new(
        revision: SharedRevision,
        metrics: Arc<FunctionMetrics>,
        asks: mpsc::UnboundedSender<WatchdogRequest>,
    ) -> Self {
        let seen = Mutex::new(ViewState { revision, failure: None, is_aside: false, shadow: None, shards: Vec::new() });
        let (topics, lines, on_call) = Default::default();
        Self { topics, lines, on_call, asks, metrics, seen }
    }

    /// Asks the function for something; it is done when it is done.
    pub(crate) fn ask(&self, request: WatchdogRequest) {
        // Its task is gone only when the function is.
        let _ = self.asks.send(request);
    }

    pub(crate) fn name(&self) -> FunctionName {
        self.seen().revision.manifest.name.clone()
    }

    /// The longest time between two commits.
    pub(crate) fn commit_interval(&self) -> Duration {
        self.seen().revision.manifest.delivery.commit_interval
    }

    /// The topics that its manifest names, and those that it has partitions of.
    pub(crate) fn topic_names(&self) -> Vec<String> {
        let mut names = self.named_topics();
        names.extend(self.leases().iter().map(|lease| lease.partition.topic.to_string()));
        names.sort();
        names.dedup();
        names
    }

    fn named_topics(&self) -> Vec<String> {
        // Topics of a pattern come and go.
        self.seen().revision.manifest.named_inputs()
    }

    fn replace(&self, index: usize, shard: Arc<ShardView>) {
        if let Some(place) = self.seen().shards.get_mut(index) {
            *place = shard;
        }
    }

    fn now_runs(&self, revision: SharedRevision) {
        let mut seen = self.seen();
        seen.revision = revision;
        seen.failure = None;
    }

    fn steps_aside(&self, is_aside: bool) {
        self.seen().is_aside = is_aside;
    }

    fn show_shadow(&self, shadow: Option<RevisionNumber>) {
        self.seen().shadow = shadow;
    }

    fn failed(&self, reason: String) {
        self.seen().failure = Some(reason);
    }

    fn show(&self, shards: Vec<Arc<ShardView>>) {
        self.seen().shards = shards;
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.seen().revision.manifest.delivery.drain_timeout
    }

    /// The leases of all its shards.
    pub(crate) fn leases(&self) -> Vec<Arc<PartitionLease>> {
        self.shards().iter().flat_map(|shard| shard.leases()).collect()
    }

    /// Which revision it is at, what it is doing, and why.
    pub(crate) fn state(&self) -> (RevisionNumber, FunctionState, Option<String>) {
        let (revision, failure, is_aside, shards) = {
            let seen = self.seen();
            (seen.revision.number, seen.failure.clone(), seen.is_aside, seen.shards.clone())
        };
        if is_aside {
            return (revision, FunctionState::Starting, Some("its offsets are being reset".to_owned()));
        }
        let gone = self.named_topics().iter().find_map(|topic| self.topics.gone(topic));
        let fatal = gone.or_else(|| shards.iter().find_map(|shard| shard.fatal().or_else(|| shard.stalled())));
        let passing = shards.iter().find_map(|shard| shard.passing());
        let has_joined = !shards.is_empty() && shards.iter().all(|shard| shard.has_joined());
        let is_paused = shards.iter().all(|shard| shard.is_paused());
        let (state, reason) = match (failure, fatal, has_joined) {
            (Some(reason), ..) => (FunctionState::Failed, Some(reason)),
            (None, Some(reason), _) => (FunctionState::Stalled, Some(reason)),
            (None, None, true) if is_paused => (FunctionState::Paused, None),
            (None, None, true) => (FunctionState::Running, passing.or_else(|| self.on_call.memory_hint())),
            (None, None, false) => (FunctionState::Starting, passing),
        };
        (revision, state, reason)
    }

    /// The status, with the ends of partitions as far as they are known.
    pub(crate) fn status(&self) -> FunctionStatus {
        let (revision, state, reason) = self.state();
        FunctionStatus {
            name: self.name().to_string(),
            revision: revision.0,
            state,
            reason,
            partitions: self.shards().iter().flat_map(|shard| shard.partitions()).collect(),
            counters: self.metrics.counters(),
            shadow: self.seen().shadow.map(|number| number.0),
        }
    }

    pub(crate) fn shards(&self) -> Vec<Arc<ShardView>> {
        self.seen().shards.clone()
    }

    fn seen(&self) -> parking_lot::MutexGuard<'_, ViewState> {
        self.seen.lock()
    }
}
