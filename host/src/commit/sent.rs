//! A parcel on its way: counts acknowledgements, and tells when the last one came.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::at_least_once::DeliveryEvent;
use super::refusal::RejectedMessage;
use crate::flow::budget::BudgetShare;
use crate::kafka::tickets::DeliveryWatcher;
use crate::model::parcel::{FinishedRun, Parcel};

/// A parcel whose messages were given to the producer.
#[derive(Debug)]
pub struct InFlightParcel {
    /// The parcel's place among all of its shard.
    pub number: u64,
    /// The messages, kept until all are acknowledged.
    pub parcel: Parcel,
    remaining: AtomicUsize,
    failed: Mutex<Vec<RejectedMessage>>,
    rest: Mutex<Option<ParcelCompletion>>,
    done: mpsc::UnboundedSender<DeliveryEvent>,
}

/// What goes on when a parcel is acknowledged, or moves to the parcel that tries again.
#[derive(Debug)]
pub struct ParcelCompletion {
    /// What is finished then.
    pub runs: Vec<FinishedRun>,
    /// The parcel's share of the shard's budget.
    pub share: BudgetShare,
}

impl InFlightParcel {
    /// A parcel whose messages will all be reported. With none it is never reported.
    pub fn new(
        number: u64,
        parcel: Parcel,
        rest: ParcelCompletion,
        done: mpsc::UnboundedSender<DeliveryEvent>,
    ) -> Arc<Self> {
        let remaining = AtomicUsize::new(parcel.messages.len());
        Arc::new(Self { number, parcel, remaining, failed: Mutex::default(), rest: Mutex::new(Some(rest)), done })
    }

    /// Takes what failed, by message.
    pub fn take_failures(&self) -> Vec<RejectedMessage> {
        std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what goes on; nothing the second time.
    pub fn take_rest(&self) -> Option<ParcelCompletion> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl DeliveryWatcher for InFlightParcel {
    fn delivered(self: Arc<Self>, messages: usize, refused: Vec<RejectedMessage>) {
        if !refused.is_empty() {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).extend(refused);
        }
        if self.remaining.fetch_sub(messages, Ordering::AcqRel) == messages {
            let done = self.done.clone();
            // The committer is gone only when its shard is.
            let _ = done.send(DeliveryEvent::Acknowledged(self));
        }
    }
}
