//! The committer: takes parcels in order, publishes them, and commits what is acknowledged.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use super::sent::Sent;
use super::tracker::{Place, Tracker};
use crate::flow::budget::Share;
use crate::kafka::consumer::{self, Consumer};
use crate::kafka::producer::{Delivered, NotQueued, Outgoing, Producers, Undelivered};
use crate::model::lease::Lease;
use crate::model::offsets::Progress;
use crate::model::outcome::{Fault, FaultClass};
use crate::model::parcel::{MessageKind, Parcel};
use crate::model::work::RecordRef;
use crate::telemetry::function_metrics::FunctionMetrics;

/// The wait before a message that could not be delivered is given to the producer again.
const RESEND_AFTER: Duration = Duration::from_millis(200);

/// What a committer can be told. The channel has no bound of its own: parcels hold their share of a budget, and the
/// others are as many as there are partitions.
#[derive(Debug)]
pub enum Command {
    /// A partition was assigned, with what was finished before.
    Assigned(Arc<Lease>, Progress),
    /// Outcomes to publish.
    Publish(Parcel, Share),
    /// Offsets that need no work.
    Skipped(Arc<Lease>, std::ops::Range<i64>),
    /// Every message of a parcel was acknowledged or refused.
    Acknowledged(Arc<Sent>),
    /// A parcel that could not be delivered is due again.
    Again(Parcel, Share),
    /// Kafka answered to the last commit.
    Committed(bool),
    /// Commit what is finished of these leases, and forget them. Answered when that is done, or at the deadline.
    Release(Vec<Arc<Lease>>, Instant, oneshot::Sender<()>),
    /// Forget these leases: they are somebody else's.
    Forget(Vec<Arc<Lease>>),
}

/// Makes the dead letter of a record whose emission Kafka refused.
pub type Refuse = Box<dyn Fn(&mut Parcel, &RecordRef, &Fault, MessageKind) + Send + Sync>;

/// What a committer is made with.
pub struct Options {
    /// Where messages go.
    pub producers: Producers,
    /// Whose offsets are committed.
    pub consumer: Arc<Consumer>,
    /// See [`Refuse`].
    pub refuse: Refuse,
    /// Called when a partition's budget grew.
    pub freed: Box<dyn Fn() + Send + Sync>,
    /// The longest time between two commits.
    pub commit_interval: Duration,
    /// Where emissions, dead letters and commits are counted.
    pub metrics: Arc<FunctionMetrics>,
}

/// See the module.
pub struct Committer {
    options: Options,
    commands: mpsc::UnboundedReceiver<Command>,
    back: mpsc::UnboundedSender<Command>,
    trackers: HashMap<u64, Tracker>,
    releases: Vec<Release>,
    commit_is_under_way: bool,
}

struct Release {
    epochs: Vec<u64>,
    deadline: Instant,
    answer: oneshot::Sender<()>,
}

impl Committer {
    /// A committer that takes `commands`; `back` is their sender, for acknowledgements.
    pub fn new(
        options: Options,
        commands: mpsc::UnboundedReceiver<Command>,
        back: mpsc::UnboundedSender<Command>,
    ) -> Self {
        Self { options, commands, back, trackers: HashMap::new(), releases: Vec::new(), commit_is_under_way: false }
    }

    /// Works until the task is aborted: its own sender keeps the channel open.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(self.options.commit_interval.max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next_deadline = self.releases.iter().map(|release| release.deadline).min();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                _ = tick.tick() => self.commit(),
                () = sleep_until(next_deadline) => {}
            }
            self.finish_releases().await;
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Assigned(lease, finished) => {
                self.trackers.insert(lease.epoch, Tracker::new(lease, finished));
            }
            Command::Publish(parcel, share) => {
                self.note_known(&parcel);
                self.publish(parcel, share).await;
            }
            Command::Again(parcel, share) => self.publish(parcel, share).await,
            Command::Skipped(lease, offsets) => {
                if let Some(tracker) = self.trackers.get_mut(&lease.epoch) {
                    tracker.know(offsets.clone(), 0);
                    tracker.acknowledge(offsets);
                }
            }
            Command::Acknowledged(sent) => self.acknowledged(&sent),
            Command::Committed(succeeded) => {
                self.commit_is_under_way = false;
                self.trackers.values_mut().for_each(|tracker| tracker.settle_commit(succeeded));
                if succeeded {
                    self.options.metrics.commits.inc();
                }
            }
            Command::Release(leases, deadline, answer) => {
                let epochs = leases.iter().map(|lease| lease.epoch).collect();
                self.releases.push(Release { epochs, deadline, answer });
            }
            Command::Forget(leases) => {
                for lease in leases {
                    self.trackers.remove(&lease.epoch);
                }
            }
        }
    }

    fn note_known(&mut self, parcel: &Parcel) {
        let mut freed = false;
        for run in &parcel.runs {
            if let Some(tracker) = self.trackers.get_mut(&run.lease.epoch) {
                freed |= tracker.know(run.offsets.clone(), run.records);
                tracker.outstanding += 1;
            }
        }
        if freed {
            (self.options.freed)();
        }
    }

    async fn publish(&mut self, mut parcel: Parcel, share: Share) {
        // What was done under a dead lease is not this host's to publish.
        if parcel.messages.iter().any(|message| !is_alive(&parcel, message.record)) {
            parcel = only_alive(parcel);
        }
        let sent = Sent::new(parcel, share, self.back.clone());
        if sent.parcel.messages.is_empty() {
            self.acknowledged(&sent);
            return;
        }
        for index in 0..sent.parcel.messages.len() {
            self.send(&sent, index as u32).await;
        }
    }

    async fn send(&self, sent: &Arc<Sent>, index: u32) {
        let message = &sent.parcel.messages[index as usize];
        loop {
            let refused = match self.options.producers.with(message.compression) {
                Ok(producer) => {
                    let outgoing = Outgoing {
                        topic: &message.topic,
                        key: message.key.as_ref().map(|key| sent.parcel.slice(key)),
                        value: message.value.as_ref().map(|value| sent.parcel.slice(value)),
                        headers: sent.parcel.headers_of(message),
                    };
                    match producer.send(outgoing, Box::new((sent.clone(), index))) {
                        Ok(()) => return,
                        Err(NotQueued::Full) => {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            continue;
                        }
                        Err(NotQueued::Refused(refused)) => refused,
                    }
                }
                Err(error) => Undelivered { for_good: false, reason: error.to_string() },
            };
            sent.clone().delivered(index, Err(refused));
            return;
        }
    }

    /// Every message of `sent` was acknowledged or refused: what was refused follows in a parcel of its own, and what
    /// the parcel finishes waits for that.
    fn acknowledged(&mut self, sent: &Arc<Sent>) {
        let Some(rest) = sent.take_rest() else { return };
        let failures = sent.take_failures();
        self.count(&sent.parcel, &failures);
        if failures.is_empty() {
            for run in rest.runs {
                if let Some(tracker) = self.trackers.get_mut(&run.lease.epoch) {
                    tracker.outstanding -= 1;
                    tracker.acknowledge(run.offsets);
                }
            }
            return;
        }
        let again = self.follow_up(&sent.parcel, &failures, rest.runs);
        let back = self.back.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RESEND_AFTER).await;
            let _ = back.send(Command::Again(again, rest.share));
        });
    }

    fn follow_up(
        &self,
        parcel: &Parcel,
        failures: &[(u32, Undelivered)],
        runs: Vec<crate::model::parcel::Run>,
    ) -> Parcel {
        let mut again = Parcel { runs, ..Parcel::default() };
        let mut dead: Vec<(*const crate::model::work::Chunk, u32)> = Vec::new();
        for (index, undelivered) in failures {
            let message = &parcel.messages[*index as usize];
            let record = &parcel.records[message.record as usize];
            let next_kind = match message.kind {
                _ if !undelivered.for_good => None,
                MessageKind::Emission => Some(MessageKind::DeadLetter),
                MessageKind::DeadLetter => Some(MessageKind::DeadLetterReference),
                MessageKind::DeadLetterReference => None,
            };
            tracing::warn!(topic = %message.topic, record = %record.chunk.lease.partition,
                offset = record.record().offset, for_good = undelivered.for_good, error = %undelivered,
                "a message was not delivered");
            let Some(kind) = next_kind else {
                again.copy_message(parcel, message);
                continue;
            };
            // Several refused emissions of a record are one dead letter.
            let identity = (Arc::as_ptr(&record.chunk), record.index);
            if dead.contains(&identity) {
                continue;
            }
            dead.push(identity);
            let reason = format!("Kafka refused what it emitted to {}: {undelivered}", message.topic);
            (self.options.refuse)(&mut again, record, &Fault::new(FaultClass::OutputRefused, reason), kind);
        }
        again
    }

    fn count(&self, parcel: &Parcel, failures: &[(u32, Undelivered)]) {
        let emissions =
            |kind| parcel.messages.iter().filter(move |message| (message.kind == MessageKind::Emission) == kind);
        let failed = |kind| {
            let is_kind = |(index, _): &&(u32, Undelivered)| {
                (parcel.messages[*index as usize].kind == MessageKind::Emission) == kind
            };
            failures.iter().filter(is_kind).count()
        };
        self.options.metrics.emitted.inc_by((emissions(true).count() - failed(true)) as u64);
        self.options.metrics.dead_lettered.inc_by((emissions(false).count() - failed(false)) as u64);
    }

    fn commit(&mut self) {
        if self.commit_is_under_way {
            return;
        }
        let places: Vec<_> = self
            .trackers
            .values_mut()
            .filter_map(|tracker| tracker.begin_commit().map(|place| (tracker.lease.clone(), place)))
            .collect();
        if places.is_empty() {
            return;
        }
        self.commit_is_under_way = true;
        let (consumer, back) = (self.options.consumer.clone(), self.back.clone());
        tokio::task::spawn_blocking(move || {
            let committed = commit_places(&consumer, &places);
            if let Err(error) = &committed {
                tracing::warn!(%error, "offsets were not committed; they are tried again");
            }
            // The committer is gone only when its shard is.
            let _ = back.send(Command::Committed(committed.is_ok()));
        });
    }

    async fn finish_releases(&mut self) {
        let now = Instant::now();
        let trackers = &self.trackers;
        let is_due = |release: &mut Release| {
            let is_done = |epoch| trackers.get(epoch).is_none_or(|tracker: &Tracker| tracker.outstanding == 0);
            release.deadline <= now || release.epochs.iter().all(is_done)
        };
        let due: Vec<Release> = self.releases.extract_if(.., is_due).collect();
        for release in due {
            self.release(release).await;
        }
    }

    async fn release(&mut self, release: Release) {
        let mut released: Vec<Tracker> =
            release.epochs.iter().filter_map(|epoch| self.trackers.remove(epoch)).collect();
        let places: Vec<_> = released
            .iter_mut()
            .filter_map(|tracker| tracker.begin_commit().map(|place| (tracker.lease.clone(), place)))
            .collect();
        if !places.is_empty() {
            let consumer = self.options.consumer.clone();
            let committed = tokio::task::spawn_blocking(move || commit_places(&consumer, &places));
            match committed.await {
                Ok(Ok(())) => {
                    self.options.metrics.commits.inc();
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the last offsets before a partition went were not committed; its records may run again")
                }
                Err(error) => tracing::error!(%error, "the commit of the last offsets ended early"),
            }
        }
        // The one who asked may have stopped waiting.
        let _ = release.answer.send(());
    }
}

fn commit_places(consumer: &Consumer, places: &[(Arc<Lease>, Place)]) -> Result<(), consumer::Error> {
    consumer.commit(places.iter().map(|(lease, place)| (&lease.partition, place.offset, place.metadata.as_str())))
}

fn is_alive(parcel: &Parcel, record: u32) -> bool {
    parcel.records[record as usize].chunk.lease.is_alive()
}

fn only_alive(parcel: Parcel) -> Parcel {
    let mut alive = Parcel { runs: parcel.runs.clone(), ..Parcel::default() };
    for message in parcel.messages.iter().filter(|message| is_alive(&parcel, message.record)) {
        alive.copy_message(&parcel, message);
    }
    alive
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
