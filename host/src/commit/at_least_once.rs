//! At least once: parcels are written as they come, through the producers that the host's functions share. An offset is
//! committed once every message of its record is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::delivery::{Delivery, Trackers, count};
use super::refusal::{Refuse, follow_up};
use super::sent::{Rest, Sent};
use super::tracker::{Place, Tracker};
use crate::flow::budget::Share;
use crate::kafka::consumer::{self, Consumer};
use crate::kafka::generation::Generation;
use crate::kafka::producer::{Batching, Delivered, NotQueued, Outgoing, Producers, Undelivered};
use crate::model::lease::Lease;
use crate::model::parcel::Parcel;
use crate::telemetry::function_metrics::FunctionMetrics;

/// The wait before a message that could not be delivered is given to the producer again.
const RESEND_AFTER: Duration = Duration::from_millis(200);

/// What it is made with.
pub struct Options {
    /// Where messages go.
    pub producers: Producers,
    /// Whose offsets are committed.
    pub consumer: Arc<Consumer>,
    /// See [`Refuse`].
    pub refuse: Refuse,
    /// Told what a person should know.
    pub trouble: Box<dyn Fn(String) + Send + Sync>,
    /// Where emissions, dead letters and commits are counted.
    pub metrics: Arc<FunctionMetrics>,
}

/// What happens by and by.
#[derive(Debug)]
pub enum Event {
    /// Every message of a parcel was acknowledged or refused.
    Acknowledged(Arc<Sent>),
    /// What could not be delivered is due again.
    Again(Parcel, Rest, Batching),
    /// Kafka answered to the last commit.
    Committed(bool),
}

/// See the module.
pub struct AtLeastOnce {
    options: Options,
    events: mpsc::UnboundedReceiver<Event>,
    tell: mpsc::UnboundedSender<Event>,
    commit_is_under_way: bool,
}

impl AtLeastOnce {
    /// Nothing is under way.
    pub fn new(options: Options) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        Self { options, events, tell, commit_is_under_way: false }
    }

    async fn write(&mut self, parcel: Parcel, rest: Rest, batching: Batching, trackers: &mut Trackers) {
        let sent = Sent::new(parcel, rest, self.tell.clone());
        if sent.parcel.messages.is_empty() {
            self.acknowledged(&sent, trackers);
            return;
        }
        for index in 0..sent.parcel.messages.len() {
            self.send(&sent, index as u32, batching).await;
        }
    }

    async fn send(&self, sent: &Arc<Sent>, index: u32, batching: Batching) {
        let message = &sent.parcel.messages[index as usize];
        loop {
            let refused = match self.options.producers.with(message.compression, batching, message.batch_bytes) {
                Ok(producer) => {
                    let outgoing = Outgoing::of(&sent.parcel, message);
                    match producer.send(outgoing, Box::new((sent.clone(), index))) {
                        Ok(()) => return,
                        Err(NotQueued::Full) => {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            continue;
                        }
                        Err(NotQueued::Refused(refused)) => refused,
                    }
                }
                Err(error) => Undelivered { for_good: false, together: false, reason: error.to_string() },
            };
            sent.clone().delivered(index, Err(refused));
            return;
        }
    }

    /// What was refused follows in a parcel of its own, and what the parcel finishes waits for that.
    fn acknowledged(&mut self, sent: &Arc<Sent>, trackers: &mut Trackers) {
        let Some(rest) = sent.take_rest() else { return };
        let refused = sent.take_failures();
        count(&self.options.metrics, &sent.parcel, refused.iter().map(|(index, _)| *index));
        if refused.is_empty() {
            for run in rest.runs {
                if let Some(tracker) = trackers.get_mut(&run.lease.epoch) {
                    tracker.outstanding -= 1;
                    tracker.acknowledge(run.offsets);
                }
            }
            return;
        }
        let batching = match refused.iter().any(|(_, undelivered)| undelivered.together) {
            true => Batching::Alone,
            false => Batching::Together,
        };
        if let Some((index, undelivered)) = refused.iter().find(|(_, undelivered)| !undelivered.for_good) {
            let topic = &sent.parcel.messages[*index as usize].topic;
            (self.options.trouble)(format!("topic {topic} does not take what is written: {undelivered}"));
        }
        let again = follow_up(&self.options.refuse, &sent.parcel, &refused);
        let tell = self.tell.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RESEND_AFTER).await;
            // The committer is gone only when its shard is.
            let _ = tell.send(Event::Again(again, rest, batching));
        });
    }
}

impl Delivery for AtLeastOnce {
    type Event = Event;

    async fn publish(&mut self, mut parcel: Parcel, share: Share, trackers: &mut Trackers) {
        let rest = Rest { runs: std::mem::take(&mut parcel.runs), share };
        // What was done under a dead lease is not this host's to publish.
        parcel.retain(Lease::is_alive);
        self.write(parcel, rest, Batching::Together, trackers).await;
    }

    async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // It holds a sender itself.
            None => std::future::pending().await,
        }
    }

    async fn heed(&mut self, event: Event, trackers: &mut Trackers) {
        match event {
            Event::Acknowledged(sent) => self.acknowledged(&sent, trackers),
            Event::Again(mut parcel, rest, batching) => {
                parcel.retain(Lease::is_alive);
                self.write(parcel, rest, batching, trackers).await;
            }
            Event::Committed(succeeded) => {
                self.commit_is_under_way = false;
                trackers.values_mut().for_each(|tracker| tracker.settle_commit(succeeded));
                if succeeded {
                    self.options.metrics.commits.inc();
                }
            }
        }
    }

    fn commit(&mut self, trackers: &mut Trackers) {
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
            let _ = tell.send(Event::Committed(committed.is_ok()));
        });
    }

    fn is_settled(&self, tracker: &Tracker) -> bool {
        tracker.outstanding == 0
    }

    async fn release(&mut self, mut released: Vec<Tracker>) {
        let places = places(released.iter_mut());
        if places.is_empty() {
            return;
        }
        let consumer = self.options.consumer.clone();
        match tokio::task::spawn_blocking(move || commit_places(&consumer, &places)).await {
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
    fn follow(&mut self, _: Option<Arc<Generation>>) {}
}

fn places<'a>(trackers: impl Iterator<Item = &'a mut Tracker>) -> Vec<(Arc<Lease>, Place)> {
    trackers.filter_map(|tracker| tracker.begin_commit().map(|place| (tracker.lease.clone(), place))).collect()
}

fn commit_places(consumer: &Consumer, places: &[(Arc<Lease>, Place)]) -> Result<(), consumer::Error> {
    consumer.commit(places.iter().map(|(lease, place)| (&lease.partition, place.offset, place.metadata.as_str())))
}
