//! What the two processing guarantees have in common, as the committer sees them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use crate::commit::tracker::ProgressTracker;
use crate::flow::budget::BudgetShare;
use crate::kafka::group::generation::GroupGeneration;
use crate::model::parcel::Parcel;
use crate::telemetry::function_metrics::FunctionMetrics;

/// The trackers of a shard's leases, by epoch.
pub(crate) type LeaseTrackers = HashMap<u64, ProgressTracker>;

/// A way to publish outcomes and to commit what is finished.
pub(crate) trait Delivery: Send + 'static {
    /// What happens over time: acknowledgements, answers.
    type Event: Send;

    /// Takes outcomes. Their runs were counted as outstanding by the trackers.
    fn publish(
        &mut self,
        parcel: Parcel,
        share: BudgetShare,
        trackers: &mut LeaseTrackers,
    ) -> impl Future<Output = ()> + Send;

    /// What happens next. Safe to cancel.
    fn next(&mut self) -> impl Future<Output = Self::Event> + Send;

    fn heed(&mut self, event: Self::Event, trackers: &mut LeaseTrackers) -> impl Future<Output = ()> + Send;

    /// Commits what can be committed: called every commit interval, and as soon as leases are to be released.
    fn commit(&mut self, trackers: &mut LeaseTrackers);

    /// Whether nothing more would be committed of a lease that is to be released.
    fn is_settled(&self, tracker: &ProgressTracker) -> bool;

    /// The last that is done for leases whose trackers were taken away.
    fn release(&mut self, released: Vec<ProgressTracker>) -> impl Future<Output = ()> + Send;

    /// The group has another generation from now on, or this host is in none.
    fn follow(&mut self, generation: Option<Arc<GroupGeneration>>);
}

/// Counts what Kafka has taken of a parcel, all but the `refused` messages.
pub(crate) fn count(metrics: &FunctionMetrics, parcel: &Parcel, refused: impl Iterator<Item = u32>) {
    use crate::model::parcel::MessageKind::Emission;
    let emissions = parcel.messages.iter().filter(|message| message.kind == Emission).count();
    let (mut emitted, mut dead) = (emissions, parcel.messages.len() - emissions);
    for index in refused {
        match parcel.messages[index as usize].kind {
            Emission => emitted -= 1,
            _ => dead -= 1,
        }
    }
    metrics.emitted.inc_by(emitted as u64);
    metrics.dead_lettered.inc_by(dead as u64);
    // Messages of one topic follow one another: most parcels ask for a counter once.
    for same in parcel.messages.chunk_by(|one, next| Arc::ptr_eq(&one.topic, &next.topic)) {
        metrics.count_written(&same[0].topic, same.len() as u64);
    }
}
