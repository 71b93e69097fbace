//! A paused shard: it keeps its place in the group and its partitions, and takes nothing of them.
//!
//! Pausing is draining, as before a partition is given back, but it stays: under a lease under which nothing is worked on.
//! Going on is an assignment from the committed place, so that it makes no difference how long the pause was, what was
//! deployed meanwhile, or whether the host was restarted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::failpoint;
use crate::kafka::group::consumer::{GroupConsumer, GroupError};
use crate::model::lease::PartitionLease;
use crate::model::position::TopicPartition;
use crate::pipeline::shard::{NEXT_EPOCH, Shard};

/// Brokers forget offsets that no one commits for `offsets.retention.minutes`, a week by default.
const KEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// When the offsets of a paused shard are committed again.
pub(crate) fn keep_every() -> Interval {
    // A test does not wait for a day.
    let every = if failpoint::at("shard::keep_often").is_err() { Duration::from_secs(1) } else { KEEP_EVERY };
    let mut keep = tokio::time::interval_at(Instant::now() + every, every);
    keep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    keep
}

impl Shard {
    /// What it is assigned from the start on is only held.
    pub(crate) fn start_paused(&mut self) {
        self.paused = true;
        self.parts.view.show_paused(true);
    }

    /// Takes nothing more; what runs is finished and committed.
    pub(crate) async fn pause(&mut self) {
        if self.paused {
            return;
        }
        self.paused = true;
        let (halted, leases): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.leases).into_iter().partition(|lease| lease.standing.is_halted());
        self.drain(leases.clone()).await;
        self.hold(&leases);
        self.leases = leases.iter().map(|lease| at_rest(lease)).chain(halted).collect();
        self.parts.view.show(&self.leases);
        self.parts.view.show_paused(true);
        tracing::info!(function = %self.parts.function, partitions = self.leases.len(), "paused");
    }

    /// Takes records again, from where Kafka says that everything is finished.
    pub(crate) async fn go_on(&mut self) {
        if !self.paused {
            return;
        }
        self.paused = false;
        let leases = self.leases.extract_if(.., |lease| !lease.standing.is_halted());
        let partitions: Vec<TopicPartition> = leases.map(|lease| lease.partition.clone()).collect();
        tracing::info!(function = %self.parts.function, partitions = partitions.len(), "going on");
        if !partitions.is_empty() {
            if let Err(error) = self.parts.consumer.unassign(&partitions) {
                self.parts.view.note_trouble(error.to_string(), true);
            }
            self.assigned(partitions).await;
        }
        self.parts.view.show_paused(false);
    }

    /// Makes Kafka's client fetch nothing of these.
    pub(crate) fn hold(&self, leases: &[Arc<PartitionLease>]) {
        for lease in leases {
            if let Err(error) = self.parts.consumer.pause(&lease.partition) {
                // What it gives is ignored, and read again later.
                tracing::warn!(%error, partition = %lease.partition, "a partition was not paused");
            }
        }
    }

    /// Commits again what is committed, so that the brokers do not forget it.
    pub(crate) async fn keep_offsets(&self) {
        let partitions: Vec<_> = self.leases.iter().map(|lease| lease.partition.clone()).collect();
        if partitions.is_empty() {
            return;
        }
        let consumer = self.parts.consumer.clone();
        match tokio::task::spawn_blocking(move || commit_again(&consumer, &partitions)).await {
            Ok(Ok(kept)) => tracing::info!(function = %self.parts.function, partitions = kept, "kept its offsets"),
            Ok(Err(error)) => tracing::warn!(%error, "the offsets of a paused function were not committed again"),
            Err(error) => tracing::error!(%error, "committing offsets again ended early"),
        }
    }
}

/// No one else commits for the partitions of a member, so that nothing comes between.
fn commit_again(consumer: &GroupConsumer, partitions: &[TopicPartition]) -> Result<usize, GroupError> {
    let committed = consumer.committed(partitions)?;
    let known =
        || committed.iter().filter_map(|place| Some((&place.partition, place.offset?, place.metadata.as_str())));
    if known().next().is_some() {
        consumer.commit(known())?;
    }
    Ok(known().count())
}

/// A lease of the same partition under which nothing is done.
fn at_rest(lease: &PartitionLease) -> Arc<PartitionLease> {
    let epoch = NEXT_EPOCH.fetch_add(1, Ordering::Relaxed);
    let rest = PartitionLease::new(lease.partition.clone(), epoch, lease.committed());
    rest.raise_end(lease.end());
    Arc::new(rest)
}
