//! A parcel on its way: counts acknowledgements, and says when the last one came.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::commit::at_least_once::DeliveryEvent;
use crate::commit::refusal::RejectedMessage;
use crate::flow::budget::BudgetShare;
use crate::kafka::produce::tickets::DeliveryWatcher;
use crate::model::parcel::{FinishedRun, Parcel};

/// A parcel whose messages were given to the producer.
#[derive(Debug)]
pub(crate) struct InFlightParcel {
    /// The parcel's place among all of its shard.
    pub(crate) number: u64,
    /// The messages, kept until all are acknowledged.
    pub(crate) parcel: Parcel,
    remaining: AtomicUsize,
    failed: Mutex<Vec<RejectedMessage>>,
    rest: Mutex<Option<ParcelCompletion>>,
    done: mpsc::UnboundedSender<DeliveryEvent>,
}

/// What continues when a parcel is acknowledged, or moves to the parcel that tries again.
#[derive(Debug)]
pub(crate) struct ParcelCompletion {
    pub(crate) runs: Vec<FinishedRun>,
    #[allow(dead_code, reason = "the parcel's share of the shard's budget: given back when dropped")]
    pub(crate) share: BudgetShare,
}

impl InFlightParcel {
    /// A parcel whose messages will all be reported. With none it is never reported.
    pub(crate) fn new(
        number: u64,
        parcel: Parcel,
        rest: ParcelCompletion,
        done: mpsc::UnboundedSender<DeliveryEvent>,
    ) -> Arc<Self> {
        let remaining = AtomicUsize::new(parcel.messages.len());
        Arc::new(Self { number, parcel, remaining, failed: Mutex::default(), rest: Mutex::new(Some(rest)), done })
    }

    /// Takes what failed, by message.
    pub(crate) fn take_failures(&self) -> Vec<RejectedMessage> {
        std::mem::take(&mut *self.failed.lock())
    }

    /// Takes what continues; nothing the second time.
    pub(crate) fn take_rest(&self) -> Option<ParcelCompletion> {
        self.rest.lock().take()
    }
}

impl DeliveryWatcher for InFlightParcel {
    fn delivered(self: Arc<Self>, messages: usize, refused: Vec<RejectedMessage>) {
        if !refused.is_empty() {
            self.failed.lock().extend(refused);
        }
        if self.remaining.fetch_sub(messages, Ordering::AcqRel) == messages {
            let done = self.done.clone();
            // The committer is gone only when its shard is.
            let _ = done.send(DeliveryEvent::Acknowledged(self));
        }
    }
}
