//! The committer: the one to whom the other stages hand over. Keeps the trackers, and releases leases when what was
//! begun under them is settled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior};

use crate::commit::delivery::{Delivery, LeaseTrackers};
use crate::commit::tracker::ProgressTracker;
use crate::flow::budget::BudgetShare;
use crate::kafka::group::generation::GroupGeneration;
use crate::model::lease::PartitionLease;
use crate::model::offsets::PartitionProgress;
use crate::model::parcel::Parcel;

/// What a committer can be asked. The channel has no bound of its own: parcels hold their share of a budget, and the
/// others are as many as there are partitions.
#[derive(Debug)]
pub(crate) enum CommitCommand {
    /// The group changed: what is committed from now on is committed as a member of this generation.
    Generation(Option<Arc<GroupGeneration>>),
    /// A partition was assigned, with what was finished before.
    Assigned(Arc<PartitionLease>, PartitionProgress),
    Publish(Parcel, BudgetShare),
    /// Offsets that need no work.
    Skipped(Arc<PartitionLease>, std::ops::Range<i64>),
    /// Commit what is finished of these leases, and forget them. Answered when that is done, or at the deadline.
    Release(Vec<Arc<PartitionLease>>, Instant, oneshot::Sender<()>),
    /// Forget these leases: they are another's.
    Forget(Vec<Arc<PartitionLease>>),
}

pub(crate) struct Committer<D> {
    delivery: D,
    commands: mpsc::UnboundedReceiver<CommitCommand>,
    freed: Box<dyn Fn() + Send + Sync>,
    commit_interval: Duration,
    trackers: LeaseTrackers,
    releases: Vec<BudgetRelease>,
}

struct BudgetRelease {
    epochs: Vec<u64>,
    deadline: Instant,
    answer: oneshot::Sender<()>,
}

impl<D: Delivery> Committer<D> {
    /// A committer that takes `commands` and calls `freed` when a partition's budget grew.
    pub(crate) fn new(
        delivery: D,
        commands: mpsc::UnboundedReceiver<CommitCommand>,
        freed: Box<dyn Fn() + Send + Sync>,
        commit_interval: Duration,
    ) -> Self {
        Self { delivery, commands, freed, commit_interval, trackers: LeaseTrackers::new(), releases: Vec::new() }
    }

    /// Works until every sender of commands is gone, or the task is aborted.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(self.commit_interval.max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next_deadline = self.releases.iter().map(|release| release.deadline).min();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                event = self.delivery.next() => self.delivery.heed(event, &mut self.trackers).await,
                _ = tick.tick() => self.delivery.commit(&mut self.trackers),
                () = sleep_until(next_deadline) => {}
            }
            if !self.releases.is_empty() {
                self.finish_releases().await;
            }
        }
    }

    async fn obey(&mut self, command: CommitCommand) {
        match command {
            CommitCommand::Generation(generation) => self.delivery.follow(generation),
            CommitCommand::Assigned(lease, finished) => {
                self.trackers.insert(lease.epoch, ProgressTracker::new(lease, finished));
            }
            CommitCommand::Publish(parcel, share) => {
                self.note_known(&parcel);
                self.delivery.publish(parcel, share, &mut self.trackers).await;
            }
            CommitCommand::Skipped(lease, offsets) => {
                if let Some(tracker) = self.trackers.get_mut(&lease.epoch) {
                    tracker.know(offsets.clone(), 0);
                    tracker.acknowledge(offsets);
                }
            }
            CommitCommand::Release(leases, deadline, answer) => {
                let epochs = leases.iter().map(|lease| lease.epoch).collect();
                self.releases.push(BudgetRelease { epochs, deadline, answer });
                self.delivery.commit(&mut self.trackers);
            }
            CommitCommand::Forget(leases) => {
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
            (self.freed)();
        }
    }

    async fn finish_releases(&mut self) {
        let now = Instant::now();
        let (trackers, delivery) = (&self.trackers, &self.delivery);
        let is_due = |release: &mut BudgetRelease| {
            let is_done = |epoch| trackers.get(epoch).is_none_or(|tracker| delivery.is_settled(tracker));
            release.deadline <= now || release.epochs.iter().all(is_done)
        };
        let due: Vec<BudgetRelease> = self.releases.extract_if(.., is_due).collect();
        for release in due {
            let released = release.epochs.iter().filter_map(|epoch| self.trackers.remove(epoch)).collect();
            self.delivery.release(released).await;
            // The one who asked may have stopped waiting.
            let _ = release.answer.send(());
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
