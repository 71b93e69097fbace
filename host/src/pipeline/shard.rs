//! A shard: one member of a function's group, and the life of the partitions it is given.
//!
//! A partition goes Assigned → Consuming → Draining → Revoked. *Assigned*: its offset and out-of-order map are read, then
//! Kafka learns where to start. *Consuming*: the intake takes records. *Draining*: no more are taken, what waits is
//! dropped, what runs may finish within `drain_timeout`, what is finished is committed. *Revoked*: the lease is dead.
//! While the function is paused, partitions stay assigned and nothing is taken of them: see `rest`.

mod paused;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as thread_mpsc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::commit::committer::CommitCommand;
use crate::consume::intake::IntakeCommand;
use crate::dispatch::board::Board;
use crate::kafka::admin::metadata_probe::MetadataProbe;
use crate::kafka::group::consumer::{CommittedOffset, GroupConsumer, GroupError};
use crate::kafka::group::poller::PollerUnparker;
use crate::kafka::group::rebalance::GroupEvent;
use crate::model::function::SharedRevision;
use crate::model::ids::FunctionName;
use crate::model::lease::PartitionLease;
use crate::model::offset_map::{self, CommittedProgress};
use crate::model::offsets::PartitionProgress;
use crate::model::position::TopicPartition;
use crate::pipeline::shard_view::ShardView;
use crate::pipeline::topics::KnownTopics;

/// No two leases of a host have the same epoch.
static NEXT_EPOCH: AtomicU64 = AtomicU64::new(1);

/// The wait before committed offsets are asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How long acknowledgements of finished work are waited for, at least, after running calls had their time.
const SHORTEST_FLUSH: Duration = Duration::from_secs(2);

/// How long a commit of finished work may take, at most, when the host stops: without Kafka it would take 40 s.
const LONGEST_COMMIT: Duration = Duration::from_secs(3);

/// A request to a running shard.
#[derive(Debug)]
pub(crate) enum ShardControl {
    /// Handle what is taken from now on with this revision.
    Revise(SharedRevision),
    /// Take nothing more, finish what runs and commit it, and keep the partitions; or continue.
    Pause(bool),
    /// Work no more on partitions of this topic: it is another one than it was.
    Halt(String),
    /// Drain, commit, leave the group. Answered when that is done.
    Stop(oneshot::Sender<()>),
}

/// Controls a running shard.
#[derive(Debug)]
pub(crate) struct ShardHandle {
    control: mpsc::UnboundedSender<ShardControl>,
    /// Ends waits for Kafka at once, before [`ShardControl::Stop`] has its turn.
    stopping: CancellationToken,
}

impl ShardHandle {
    /// Runs `shard` in a task of its own.
    pub(crate) fn start(shard: Shard) -> Self {
        let (control, requests) = mpsc::unbounded_channel();
        let stopping = CancellationToken::new();
        tokio::spawn(shard.run(requests, stopping.clone()));
        Self { control, stopping }
    }

    /// A shard that ended says so in its view, and hears nothing more.
    pub(crate) fn send(&self, control: ShardControl) {
        let _ = self.control.send(control);
    }

    /// Drains, commits and leaves the group; answered, or dropped, when that is done.
    pub(crate) fn stop(&self) -> oneshot::Receiver<()> {
        let (answer, stopped) = oneshot::channel();
        self.stopping.cancel();
        self.send(ShardControl::Stop(answer));
        stopped
    }
}

pub(crate) struct ShardParts {
    pub(crate) function: FunctionName,
    pub(crate) drain_timeout: Duration,
    pub(crate) survey: MetadataProbe,
    /// What the function's topics were.
    pub(crate) topics: Arc<KnownTopics>,
    pub(crate) consumer: Arc<GroupConsumer>,
    pub(crate) member_events: mpsc::UnboundedReceiver<GroupEvent>,
    pub(crate) waker: PollerUnparker,
    pub(crate) to_intake: thread_mpsc::Sender<IntakeCommand>,
    pub(crate) to_committer: mpsc::UnboundedSender<CommitCommand>,
    pub(crate) board: Arc<Board>,
    pub(crate) tasks: JoinSet<()>,
    pub(crate) view: Arc<ShardView>,
}

pub(crate) struct Shard {
    parts: ShardParts,
    leases: Vec<Arc<PartitionLease>>,
    paused: bool,
    /// Cancelled when the shard is to stop.
    stopping: CancellationToken,
}

impl Shard {
    pub(crate) fn new(parts: ShardParts) -> Self {
        Self { parts, leases: Vec::new(), paused: false, stopping: CancellationToken::new() }
    }

    /// What others may see of it.
    pub(crate) fn view(&self) -> Arc<ShardView> {
        self.parts.view.clone()
    }

    /// Works until it is asked to stop, or its handle is dropped.
    async fn run(mut self, mut control: mpsc::UnboundedReceiver<ShardControl>, stopping: CancellationToken) {
        self.stopping = stopping;
        let mut keep = paused::keep_every();
        loop {
            tokio::select! {
                told = control.recv() => match told {
                    Some(ShardControl::Revise(revision)) => self.tell_intake(IntakeCommand::Revise(revision)),
                    Some(ShardControl::Pause(true)) => self.pause().await,
                    Some(ShardControl::Pause(false)) => self.go_on().await,
                    Some(ShardControl::Halt(topic)) => self.halt(&topic).await,
                    Some(ShardControl::Stop(answer)) => {
                        self.stop().await;
                        // The one who asked may have stopped waiting.
                        let _ = answer.send(());
                        return;
                    }
                    None => return self.stop().await,
                },
                event = self.parts.member_events.recv() => match event {
                    Some(event) => self.heed(event).await,
                    // The consumer's context lives as long as the consumer.
                    None => return,
                },
                _ = keep.tick(), if self.paused => self.keep_offsets().await,
                Some(ended) = self.parts.tasks.join_next() => {
                    let reason = match ended {
                        Err(error) => format!("a task of the host ended: {error}; please report this"),
                        Ok(()) => "a task of the host ended; please report this".to_owned(),
                    };
                    tracing::error!(%reason, "shard");
                    self.parts.view.note_trouble(reason, true);
                }
            }
        }
    }

    async fn heed(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Assigned(partitions, generation) => {
                self.tell_committer(CommitCommand::Generation(generation));
                self.assigned(partitions).await;
            }
            GroupEvent::Revoked(partitions, generation) => {
                self.tell_committer(CommitCommand::Generation(generation));
                self.revoked(&partitions).await;
            }
            GroupEvent::Lost(partitions) => {
                self.tell_committer(CommitCommand::Generation(None));
                self.lost(&partitions).await;
            }
            GroupEvent::Misplaced(partition) => self.assign_anew(partition).await,
            GroupEvent::TopicUnavailable(reason) => self.parts.view.note_trouble(self.naming_topics(reason), false),
        }
    }

    /// `reason`, and the topics that it may be about unless it names one: of a fetch librdkafka says only that it failed.
    fn naming_topics(&self, reason: String) -> String {
        let topics: BTreeSet<&str> = self.leases.iter().map(|lease| &*lease.partition.topic).collect();
        match topics.is_empty() || topics.iter().any(|topic| reason.contains(topic)) {
            true => reason,
            false => format!("topic {}: {reason}", topics.into_iter().collect::<Vec<_>>().join(" or ")),
        }
    }

    async fn assigned(&mut self, partitions: Vec<TopicPartition>) {
        let Some(places) = self.where_to_start(partitions).await else { return };
        self.learn_topics(&places).await;
        let starts: Vec<_> =
            places.iter().map(|(partition, told)| (partition.clone(), told.progress.watermark())).collect();
        let mut added = Vec::with_capacity(places.len());
        for (partition, CommittedProgress { progress: finished, .. }) in places {
            let epoch = NEXT_EPOCH.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%partition, offset = finished.watermark(), ranges = finished.range_count(), "partition assigned");
            let topic_id = self.parts.topics.id(&partition.topic);
            let lease = Arc::new(PartitionLease::new(partition, epoch, finished.watermark()).of_topic(topic_id));
            added.push(lease.clone());
            if self.paused || self.parts.topics.made_again(&lease.partition.topic).is_some() {
                continue;
            }
            self.tell_committer(CommitCommand::Assigned(lease.clone(), finished.clone()));
            self.tell_intake(IntakeCommand::Add(lease, finished));
        }
        if let Err(error) = self.parts.consumer.assign(&starts) {
            tracing::error!(%error, "partitions were not assigned");
            self.parts.view.note_trouble(error.to_string(), true);
        }
        if self.paused {
            self.hold(&added);
        }
        let topics: BTreeSet<Arc<str>> = added.iter().map(|lease| lease.partition.topic.clone()).collect();
        self.leases.extend(added);
        for topic in topics {
            self.halt(&topic).await;
        }
        self.parts.view.show(&self.leases);
    }

    /// Before the first record of a topic is taken: is it the one that it was?
    async fn learn_topics(&self, places: &[(TopicPartition, CommittedProgress)]) {
        for (partition, told) in places {
            if let Some(id) = told.topic_id {
                self.parts.topics.expect(self.parts.function.as_str(), &partition.topic, id);
            }
        }
        let names: BTreeSet<&str> = places.iter().map(|(partition, _)| &*partition.topic).collect();
        let names = names.into_iter().map(str::to_owned).collect();
        if let Some(told) = self.parts.survey.topics(names).await {
            self.parts.topics.learn(self.parts.function.as_str(), &told);
        }
    }

    /// Ends the work on partitions of `topic` if it is another one than it was. They stay assigned, so that the status
    /// shows them.
    async fn halt(&self, topic: &str) {
        let Some(reason) = self.parts.topics.made_again(topic) else { return };
        let of_topic = self.leases.iter().filter(|lease| *lease.partition.topic == *topic && lease.is_alive());
        let leases: Vec<_> = of_topic.cloned().collect();
        for lease in &leases {
            lease.standing.halt(reason.clone());
            lease.kill();
        }
        self.drop_work(&leases).await;
        for lease in leases {
            if let Err(error) = self.parts.consumer.pause(&lease.partition) {
                tracing::warn!(%error, partition = %lease.partition, "a partition was not paused; its records are ignored");
            }
        }
    }

    /// What was begun under dead leases is of no use.
    async fn drop_work(&self, leases: &[Arc<PartitionLease>]) {
        self.stop_intake(leases).await;
        leases.iter().for_each(|lease| self.parts.board.drop_lease(lease.epoch));
        self.tell_committer(CommitCommand::Forget(leases.to_vec()));
    }

    /// Asks Kafka until it answers: without an offset there is no honest place to start. None when the shard is to stop
    /// first.
    async fn where_to_start(
        &self,
        partitions: Vec<TopicPartition>,
    ) -> Option<Vec<(TopicPartition, CommittedProgress)>> {
        if partitions.is_empty() {
            return Some(Vec::new());
        }
        loop {
            let (consumer, asked) = (self.parts.consumer.clone(), partitions.clone());
            let read = tokio::task::spawn_blocking(move || read_places(&consumer, &asked));
            let answer = tokio::select! {
                answer = read => answer,
                () = self.stopping.cancelled() => return None,
            };
            match answer {
                Ok(Ok(places)) => return Some(places),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "committed offsets are asked for again");
                    self.parts.view.note_trouble(error.to_string(), false);
                }
                Err(error) => tracing::error!(%error, "reading committed offsets ended early"),
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_AGAIN_AFTER) => {}
                () = self.stopping.cancelled() => return None,
            }
        }
    }

    async fn revoked(&mut self, partitions: &[TopicPartition]) {
        let leases = self.take_leases(partitions);
        self.drain(leases).await;
        if let Err(error) = self.parts.consumer.unassign(partitions) {
            tracing::warn!(%error, "partitions were not given back in order");
        }
        self.parts.view.show(&self.leases);
    }

    /// Unless nothing is taken of it now: then it is reassigned later, or is another's.
    async fn assign_anew(&mut self, partition: TopicPartition) {
        let is_it = |lease: &Arc<PartitionLease>| lease.partition == partition && lease.is_alive();
        if !self.paused && self.leases.iter().any(is_it) {
            tracing::info!(%partition, "a partition is reassigned after a failure");
            self.revoked(std::slice::from_ref(&partition)).await;
            self.assigned(vec![partition]).await;
        }
    }

    async fn lost(&mut self, partitions: &[TopicPartition]) {
        let leases = self.take_leases(partitions);
        leases.iter().for_each(|lease| lease.kill());
        tracing::warn!(partitions = partitions.len(), "partitions were lost: their unfinished records run elsewhere");
        self.drop_work(&leases).await;
        if let Err(error) = self.parts.consumer.unassign(partitions) {
            tracing::debug!(%error, "lost partitions were gone already");
        }
        self.parts.view.show(&self.leases);
    }

    /// Finishes what runs, commits what is finished, ends the leases.
    async fn drain(&self, leases: Vec<Arc<PartitionLease>>) {
        if leases.is_empty() {
            return;
        }
        let deadline = Instant::now() + self.parts.drain_timeout;
        let epochs: Vec<u64> = leases.iter().map(|lease| lease.epoch).collect();
        let drop_waiting = || epochs.iter().for_each(|epoch| self.parts.board.drop_lease(*epoch));
        self.stop_intake(&leases).await;
        drop_waiting();
        if tokio::time::timeout_at(deadline, self.parts.board.until_idle(&epochs)).await.is_err() {
            tracing::warn!(
                seconds = self.parts.drain_timeout.as_secs_f32(),
                "invocations still ran after drain_timeout; their records run again"
            );
        }
        // What parked itself meanwhile.
        drop_waiting();
        let (answer, committed) = oneshot::channel();
        let flushed_by = deadline.max(Instant::now() + SHORTEST_FLUSH);
        self.tell_committer(CommitCommand::Release(leases.clone(), flushed_by, answer));
        // No answer means that the committer ended: then nothing is committed, and records run again.
        let _ = committed.await;
        leases.iter().for_each(|lease| lease.kill());
    }

    async fn stop_intake(&self, leases: &[Arc<PartitionLease>]) {
        let (answer, stopped) = oneshot::channel();
        self.tell_intake(IntakeCommand::Remove(leases.to_vec(), answer));
        // No answer means that the intake ended: nothing more comes either.
        let _ = stopped.await;
    }

    async fn stop(mut self) {
        let leases = std::mem::take(&mut self.leases);
        let longest = self.parts.drain_timeout + SHORTEST_FLUSH + LONGEST_COMMIT;
        if tokio::time::timeout(longest, self.drain(leases)).await.is_err() {
            tracing::warn!(function = %self.parts.function,
                "finished records could not be committed in time: they run again where their partitions go");
        }
        self.parts.view.show(&[]);
        // Leaving revokes what is still assigned; the context gives it back by itself from now on.
        self.parts.consumer.close();
        self.tell_intake(IntakeCommand::Stop);
        self.parts.tasks.shutdown().await;
        let ShardParts { consumer, waker, .. } = self.parts;
        consumer.leave(&waker).await;
    }

    fn take_leases(&mut self, partitions: &[TopicPartition]) -> Vec<Arc<PartitionLease>> {
        self.leases.extract_if(.., |lease| partitions.contains(&lease.partition)).collect()
    }

    fn tell_intake(&self, command: IntakeCommand) {
        // The intake ends only when it is asked to.
        let _ = self.parts.to_intake.send(command);
        self.parts.waker.wake();
    }

    fn tell_committer(&self, command: CommitCommand) {
        // The committer ends only with the shard.
        let _ = self.parts.to_committer.send(command);
    }
}

fn read_places(
    consumer: &GroupConsumer,
    partitions: &[TopicPartition],
) -> Result<Vec<(TopicPartition, CommittedProgress)>, GroupError> {
    let committed = consumer.committed(partitions)?;
    committed.into_iter().map(|committed| Ok((committed.partition.clone(), place(consumer, &committed)?))).collect()
}

fn place(consumer: &GroupConsumer, committed: &CommittedOffset) -> Result<CommittedProgress, GroupError> {
    let nothing_known =
        |offset| CommittedProgress { progress: PartitionProgress::new(offset), topic_id: None, transaction: 0 };
    let Some(offset) = committed.offset else {
        // A topic or partition that appeared after the deploy is read from its beginning.
        let (beginning, _) = consumer.range(&committed.partition)?;
        return Ok(nothing_known(beginning));
    };
    Ok(match offset_map::decode(&committed.metadata, offset) {
        Ok(told) => told,
        Err(error) => {
            tracing::warn!(partition = %committed.partition, offset, %error,
                "the out-of-order map can't be read: records above the committed offset run again");
            nothing_known(offset)
        }
    })
}
