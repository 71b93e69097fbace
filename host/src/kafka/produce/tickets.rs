//! Who learns what became of messages that were given to a producer together.
//!
//! Each message carries a pointer to its ticket through librdkafka, which gives it back with the answer. The tickets of one
//! batch share one piece of memory, which anyone who answers the last of them frees: nothing is allocated or counted for a
//! message alone.

#![allow(unsafe_code, reason = "what librdkafka carries with a message is a pointer")]

use parking_lot::Mutex;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rdkafka::error::KafkaError;

use crate::kafka::produce::producer::{DeliveryError, MessageBatching, undelivered};

/// Receives what became of messages. Called on threads of librdkafka's: must be quick, and never wait.
pub(crate) trait DeliveryWatcher: Send + Sync {
    /// So many messages are answered: those that are not in `refused`, by their number, were acknowledged.
    fn delivered(self: Arc<Self>, messages: usize, refused: Vec<(u32, DeliveryError)>);
}

/// The sender's end of the tickets of a batch: gives them out in order.
pub(crate) struct TicketBatch {
    /// Alive as long as not all are given out.
    batch: *const TicketStorage,
    given: usize,
    count: usize,
}

struct TicketStorage {
    listener: Arc<dyn DeliveryWatcher>,
    batching: MessageBatching,
    tickets: Vec<MessageTicket>,
    unanswered: AtomicUsize,
    refused: Mutex<Vec<(u32, DeliveryError)>>,
}

struct MessageTicket {
    batch: *const TicketStorage,
    message: u32,
}

// SAFETY: of what it points to, only what may be shared is used: an atomic, a mutex, a `Sync` listener, and tickets that
// no one changes.
unsafe impl Send for TicketBatch {}
// SAFETY: see above.
unsafe impl Sync for TicketBatch {}

impl TicketBatch {
    /// Tickets for `messages`, at least one, that are sent with a client that batches so.
    pub(crate) fn new(messages: Range<usize>, batching: MessageBatching, listener: Arc<dyn DeliveryWatcher>) -> Self {
        let count = messages.len();
        let batch = Box::into_raw(Box::new(TicketStorage {
            listener,
            batching,
            tickets: Vec::new(),
            unanswered: AtomicUsize::new(count),
            refused: Mutex::default(),
        }));
        // SAFETY: it was just made, and no one else knows it yet.
        unsafe {
            (*batch).tickets = messages.map(|message| MessageTicket { batch, message: message as u32 }).collect()
        };
        Self { batch, given: 0, count }
    }

    /// How many are given out.
    pub(crate) fn given(&self) -> usize {
        self.given
    }

    /// The ticket `ahead` of the next one, as a message carries it. It is given out once [`Self::give`] says so.
    pub(crate) fn ahead(&self, ahead: usize) -> *mut c_void {
        assert!(self.given + ahead < self.count, "there are no more tickets");
        // SAFETY: one that was not given out is not answered, so the batch is alive.
        let tickets = unsafe { &(*self.batch).tickets };
        (&raw const tickets[self.given + ahead]).cast_mut().cast()
    }

    /// Gives out the next `count`: each of them is answered once, from now on or already. Those in `refused`, by their place
    /// ahead, are answered here: their messages are not even queued.
    pub(crate) fn give(&mut self, count: usize, refused: impl Iterator<Item = (usize, DeliveryError)>) {
        for (ahead, undelivered) in refused {
            debug_assert!(ahead < count, "one that is given out now");
            // SAFETY: it is among those that are given out now, and no one else answers it.
            unsafe { refuse_because(self.ahead(ahead).cast(), undelivered) }
        }
        self.given += count;
    }
}

impl Drop for TicketBatch {
    /// Anyone who was to send the rest stopped halfway.
    fn drop(&mut self) {
        let rest = self.count - self.given;
        self.give(rest, (0..rest).map(|ahead| (ahead, undelivered(&KafkaError::Canceled, MessageBatching::Alone))));
    }
}

/// The message of `ticket` is written.
///
/// # Safety
///
/// `ticket` is of [`TicketBatch::ahead`] and was not answered before.
pub(crate) unsafe fn acknowledge(ticket: *mut c_void) {
    // SAFETY: an unanswered ticket keeps its batch alive.
    unsafe { answer((*ticket.cast::<MessageTicket>()).batch) }
}

/// The message of `ticket` is not written, as far as one knows.
///
/// # Safety
///
/// As [`acknowledge`].
pub(crate) unsafe fn refuse(ticket: *mut c_void, error: &KafkaError) {
    let ticket = ticket.cast::<MessageTicket>();
    // SAFETY: an unanswered ticket keeps its batch alive.
    unsafe { refuse_because(ticket, undelivered(error, (*(*ticket).batch).batching)) }
}

unsafe fn refuse_because(ticket: *const MessageTicket, undelivered: DeliveryError) {
    // SAFETY: see `refuse`.
    let (batch, message) = unsafe { ((*ticket).batch, (*ticket).message) };
    // SAFETY: see `refuse`.
    let refused = unsafe { &(*batch).refused };
    refused.lock().push((message, undelivered));
    // SAFETY: it is answered only here.
    unsafe { answer(batch) }
}

/// Counts an answer. No one looks at the batch afterwards who has no other unanswered ticket of it.
unsafe fn answer(batch: *const TicketStorage) {
    // SAFETY: see `acknowledge`.
    let (unanswered, count) = unsafe { (&(*batch).unanswered, (*batch).tickets.len()) };
    if unanswered.fetch_sub(1, Ordering::AcqRel) == 1 {
        // SAFETY: it came from a box, and this was the last of its tickets.
        let batch = unsafe { Box::from_raw(batch.cast_mut()) };
        let refused = batch.refused.into_inner();
        batch.listener.delivered(count, refused);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;
    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    type Told = Mutex<Vec<(usize, Vec<(u32, DeliveryError)>)>>;

    #[derive(Default)]
    struct Listener(Told);

    impl DeliveryWatcher for Listener {
        fn delivered(self: Arc<Self>, messages: usize, refused: Vec<(u32, DeliveryError)>) {
            self.0.lock().push((messages, refused));
        }
    }

    /// What becomes of a message.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Fate {
        Acknowledged,
        Refused,
        NotQueued,
    }

    /// A ticket on its way through librdkafka.
    struct OnItsWay(*mut c_void, Fate);

    // SAFETY: tickets are answered on any thread.
    unsafe impl Send for OnItsWay {}

    impl OnItsWay {
        fn arrive(self) {
            let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
            // SAFETY: it is of `ahead`, and answered here only.
            match self.1 {
                Fate::Acknowledged => unsafe { acknowledge(self.0) },
                _ => unsafe { refuse(self.0, &error) },
            }
        }
    }

    fn fate() -> impl Strategy<Value = Fate> {
        prop_oneof![6 => Just(Fate::Acknowledged), 1 => Just(Fate::Refused), 1 => Just(Fate::NotQueued)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whoever_waits_is_told_once(
            fates in prop::collection::vec(fate(), 1..50),
            first in 0_usize..1000,
            sent in any::<prop::sample::Index>(),
            together in 1_usize..9,
        ) {
            let listener = Arc::new(Listener::default());
            let sent = sent.index(fates.len() + 1);
            let mut tickets = TicketBatch::new(first..first + fates.len(), MessageBatching::Together, listener.clone());
            let mut ways: Vec<Vec<OnItsWay>> = vec![Vec::new(), Vec::new()];
            for some in fates[..sent].chunks(together) {
                let mut refused = Vec::new();
                for (ahead, fate) in some.iter().enumerate() {
                    match fate {
                        Fate::NotQueued => {
                            refused.push((ahead, undelivered(&KafkaError::Canceled, MessageBatching::Alone)));
                        }
                        fate => ways[ahead % 2].push(OnItsWay(tickets.ahead(ahead), *fate)),
                    }
                }
                tickets.give(some.len(), refused.into_iter());
            }
            let threads: Vec<_> = ways
                .into_iter()
                .map(|way| thread::spawn(move || way.into_iter().for_each(OnItsWay::arrive)))
                .collect();
            // Anyone who sends stops halfway.
            drop(tickets);
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));

            let told = std::mem::take(&mut *listener.0.lock());
            prop_assert_eq!(told.len(), 1);
            prop_assert_eq!(told[0].0, fates.len());
            let mut refused: Vec<usize> = told[0].1.iter().map(|(message, _)| *message as usize).collect();
            refused.sort_unstable();
            let is_refused = |(place, fate): &(usize, &Fate)| *place >= sent || **fate != Fate::Acknowledged;
            let expected: Vec<usize> = fates.iter().enumerate().filter(is_refused).map(|(place, _)| first + place).collect();
            prop_assert_eq!(refused, expected);
            prop_assert_eq!(Arc::strong_count(&listener), 1, "nothing of it is left");
        }
    }
}
