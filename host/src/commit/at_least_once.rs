//! At least once: parcels are written as they come, through the producers that the host's functions share. An offset is
//! committed once every message of its record is acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::commit::delivery::{Delivery, LeaseTrackers, count};
use crate::commit::in_flight_parcel::{InFlightParcel, ParcelCompletion};
use crate::commit::refusal::{RejectHandler, follow_up};
use crate::commit::tracker::{CommitPosition, ProgressTracker};
use crate::flow::budget::BudgetShare;
use crate::kafka::group::consumer::{self, GroupConsumer};
use crate::kafka::group::generation::GroupGeneration;
use crate::kafka::produce::producer::{ClientGeneration, DeliveryError, MessageBatching, ProducerSet};
use crate::kafka::produce::tickets::DeliveryWatcher;
use crate::model::lease::PartitionLease;
use crate::model::parcel::{Parcel, ParcelMessage};
use crate::telemetry::function_metrics::FunctionMetrics;

/// The wait before a message that could not be delivered is given to the producer again.
const RESEND_AFTER: Duration = Duration::from_millis(200);

/// While more messages than this are on their way, what follows is gathered: written in one go, it shares batches, and
/// the producer and Kafka have fewer of them to handle. See docs/decisions/0005-gather-under-load.md.
const MANY_ON_THEIR_WAY: usize = 1000;
/// How long outcomes are gathered at most.
const GATHER: Duration = Duration::from_millis(5);

/// What it is made with.
pub(crate) struct AtLeastOnceOptions {
    pub(crate) producers: ProducerSet,
    pub(crate) consumer: Arc<GroupConsumer>,
    pub(crate) refuse: RejectHandler,
    /// Receives what a person should know.
    pub(crate) trouble: Box<dyn Fn(String) + Send + Sync>,
    /// Where emissions, dead letters and commits are counted.
    pub(crate) metrics: Arc<FunctionMetrics>,
}

/// What happens over time.
#[derive(Debug)]
pub(crate) enum DeliveryEvent {
    /// Every message of a parcel was acknowledged or refused.
    Acknowledged(Arc<InFlightParcel>),
    /// What could not be delivered is due again.
    Again,
    /// What was gathered is due.
    Gathered,
    /// Kafka answered to the last commit.
    Committed(bool),
}

/// A parcel that waits to be written.
struct WaitingParcel {
    parcel: Parcel,
    rest: ParcelCompletion,
    batching: MessageBatching,
}

/// See the module.
///
/// What was not delivered holds up everything that comes after it, so that no lane is overtaken by itself: nothing more is
/// written until all that is on its way is answered, then what failed, then what waited, in their old order.
pub(crate) struct AtLeastOnce {
    options: AtLeastOnceOptions,
    events: mpsc::UnboundedReceiver<DeliveryEvent>,
    tell: mpsc::UnboundedSender<DeliveryEvent>,
    commit_is_under_way: bool,
    next_number: u64,
    on_their_way: usize,
    messages_on_their_way: usize,
    /// Parcels that wait for more of them, in order, with their numbers.
    gathered: Vec<(u64, WaitingParcel)>,
    /// What failed and what waits behind it, by the parcels' numbers.
    waiting: BTreeMap<u64, WaitingParcel>,
    /// Whether what comes must wait although nothing failed: another client would overtake what is on its way.
    holds: bool,
    /// How long what failed waits.
    again_after: Duration,
    round: ClientGeneration,
}

impl AtLeastOnce {
    pub(crate) fn new(options: AtLeastOnceOptions) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        Self {
            options,
            events,
            tell,
            commit_is_under_way: false,
            next_number: 0,
            on_their_way: 0,
            messages_on_their_way: 0,
            gathered: Vec::new(),
            waiting: BTreeMap::new(),
            holds: false,
            again_after: Duration::ZERO,
            round: ClientGeneration::default(),
        }
    }

    async fn write(&mut self, number: u64, waiting: WaitingParcel, trackers: &mut LeaseTrackers) {
        let WaitingParcel { mut parcel, rest, batching } = waiting;
        // What was done under a dead lease is not this host's to publish.
        parcel.retain(PartitionLease::is_alive);
        let sent = InFlightParcel::new(number, parcel, rest, self.tell.clone());
        self.on_their_way += 1;
        self.messages_on_their_way += sent.parcel.messages.len();
        if sent.parcel.messages.is_empty() {
            self.acknowledged(&sent, trackers);
            return;
        }
        let alike = |one: &ParcelMessage, other: &ParcelMessage| {
            one.compression == other.compression && one.batch_bytes == other.batch_bytes
        };
        let mut start = 0;
        for messages in sent.parcel.messages.chunk_by(alike) {
            let (first, numbers) = (&messages[0], start..start + messages.len());
            start = numbers.end;
            match self.options.producers.with(self.round, first.compression, batching, first.batch_bytes) {
                Ok(producer) => producer.send(&sent.parcel, numbers, sent.clone()).await,
                Err(error) => {
                    let undelivered = DeliveryError {
                        for_good: false,
                        together: false,
                        unanswered: false,
                        reason: error.to_string(),
                    };
                    let refused = numbers.map(|number| (number as u32, undelivered.clone())).collect();
                    sent.clone().delivered(messages.len(), refused);
                }
            }
        }
    }

    /// What was refused follows in a parcel of its own, and what the parcel finishes waits for that.
    fn acknowledged(&mut self, sent: &Arc<InFlightParcel>, trackers: &mut LeaseTrackers) {
        let Some(rest) = sent.take_rest() else { return };
        self.on_their_way -= 1;
        self.messages_on_their_way -= sent.parcel.messages.len();
        let refused = sent.take_failures();
        count(&self.options.metrics, &sent.parcel, refused.iter().map(|(index, _)| *index));
        if refused.is_empty() {
            for run in rest.runs {
                if let Some(tracker) = trackers.get_mut(&run.lease.epoch) {
                    tracker.outstanding -= 1;
                    tracker.acknowledge(run.offsets);
                }
            }
        } else {
            let parcel = follow_up(&self.options.refuse, &sent.parcel, &refused);
            let batching = match refused.iter().any(|(_, undelivered)| undelivered.together) {
                true => MessageBatching::Alone,
                false => MessageBatching::Together,
            };
            if let Some((index, undelivered)) = refused.iter().find(|(_, undelivered)| !undelivered.for_good) {
                let topic = &sent.parcel.messages[*index as usize].topic;
                (self.options.trouble)(format!("topic {topic} does not take what is written: {undelivered}"));
                // A batch that was refused as a whole is written at once, message by message.
                if !undelivered.together {
                    self.again_after = RESEND_AFTER;
                }
            }
            self.waiting.insert(sent.number, WaitingParcel { parcel, rest, batching });
            self.waiting.extend(self.gathered.drain(..));
        }
        if self.on_their_way == 0 {
            self.holds = false;
            self.go_on();
        }
    }

    /// Everything that was on its way is answered: what waits is due.
    fn go_on(&mut self) {
        if !self.waiting.is_empty() {
            let wait = std::mem::take(&mut self.again_after);
            self.tell_after(wait, DeliveryEvent::Again);
        }
    }

    fn gather(&mut self, number: u64, waiting: WaitingParcel) {
        if self.gathered.is_empty() {
            self.tell_after(GATHER, DeliveryEvent::Gathered);
        }
        self.gathered.push((number, waiting));
    }

    fn tell_after(&self, wait: Duration, event: DeliveryEvent) {
        let tell = self.tell.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // The committer is gone only when its shard is.
            let _ = tell.send(event);
        });
    }
}

impl Delivery for AtLeastOnce {
    type Event = DeliveryEvent;

    async fn publish(&mut self, mut parcel: Parcel, share: BudgetShare, trackers: &mut LeaseTrackers) {
        let rest = ParcelCompletion { runs: std::mem::take(&mut parcel.runs), share };
        let number = self.next_number;
        self.next_number += 1;
        let waiting = WaitingParcel { parcel, rest, batching: MessageBatching::Together };
        if self.holds || !self.waiting.is_empty() {
            self.waiting.insert(number, waiting);
        } else if !self.gathered.is_empty() || self.messages_on_their_way >= MANY_ON_THEIR_WAY {
            self.gather(number, waiting);
        } else {
            self.write(number, waiting, trackers).await;
        }
    }

    async fn next(&mut self) -> DeliveryEvent {
        match self.events.recv().await {
            Some(event) => event,
            // It holds a sender itself.
            None => std::future::pending().await,
        }
    }

    async fn heed(&mut self, event: DeliveryEvent, trackers: &mut LeaseTrackers) {
        match event {
            DeliveryEvent::Acknowledged(sent) => self.acknowledged(&sent, trackers),
            DeliveryEvent::Again => {
                // Nothing is on its way.
                self.round = self.options.producers.unbroken(self.round);
                let waiting = std::mem::take(&mut self.waiting);
                let alone = waiting.values().any(|waiting| waiting.batching == MessageBatching::Alone);
                let batching = if alone { MessageBatching::Alone } else { MessageBatching::Together };
                for (number, waiting) in waiting {
                    self.write(number, WaitingParcel { batching, ..waiting }, trackers).await;
                }
                self.holds = alone && self.on_their_way > 0;
            }
            // After a failure these wait behind it, and nothing is gathered.
            DeliveryEvent::Gathered => {
                for (number, waiting) in std::mem::take(&mut self.gathered) {
                    self.write(number, waiting, trackers).await;
                }
            }
            DeliveryEvent::Committed(succeeded) => {
                self.commit_is_under_way = false;
                trackers.values_mut().for_each(|tracker| tracker.settle_commit(succeeded));
                if succeeded {
                    self.options.metrics.commits.inc();
                }
            }
        }
    }

    fn commit(&mut self, trackers: &mut LeaseTrackers) {
        if self.commit_is_under_way {
            return;
        }
        let places = places(trackers.values_mut());
        if places.is_empty() {
            return;
        }
        self.commit_is_under_way = true;
        let (consumer, tell) = (self.options.consumer.clone(), self.tell.clone());
        tokio::task::spawn_blocking(move || {
            let committed = commit_places(&consumer, &places);
            if let Err(error) = &committed {
                tracing::warn!(%error, "offsets were not committed; they are tried again");
            }
            // The committer is gone only when its shard is.
            let _ = tell.send(DeliveryEvent::Committed(committed.is_ok()));
        });
    }

    fn is_settled(&self, tracker: &ProgressTracker) -> bool {
        tracker.outstanding == 0
    }

    async fn release(&mut self, mut released: Vec<ProgressTracker>) {
        let places = places(released.iter_mut());
        if places.is_empty() {
            return;
        }
        let consumer = self.options.consumer.clone();
        match tokio::task::spawn_blocking(move || commit_at_last(&consumer, &places)).await {
            Ok(Ok(())) => {
                self.options.metrics.commits.inc();
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the last offsets before a partition went were not committed; its records may run again");
            }
            Err(error) => tracing::error!(%error, "the commit of the last offsets ended early"),
        }
    }

    /// A commit of the consumer's own is checked by Kafka against its present generation.
    fn follow(&mut self, _: Option<Arc<GroupGeneration>>) {}
}

fn places<'a>(trackers: impl Iterator<Item = &'a mut ProgressTracker>) -> Vec<(Arc<PartitionLease>, CommitPosition)> {
    trackers.filter_map(|tracker| tracker.begin_commit().map(|place| (tracker.lease.clone(), place))).collect()
}

/// The last chance: what fails in the middle of a rebalance is tried again at once.
fn commit_at_last(
    consumer: &GroupConsumer,
    places: &[(Arc<PartitionLease>, CommitPosition)],
) -> Result<(), consumer::GroupError> {
    const ATTEMPTS: usize = 3;
    let mut committed = commit_places(consumer, places);
    for _ in 1..ATTEMPTS {
        if committed.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        committed = commit_places(consumer, places);
    }
    committed
}

fn commit_places(
    consumer: &GroupConsumer,
    places: &[(Arc<PartitionLease>, CommitPosition)],
) -> Result<(), consumer::GroupError> {
    consumer.commit(places.iter().map(|(lease, place)| (&lease.partition, place.offset, place.metadata.as_str())))
}
