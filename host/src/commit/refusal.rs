//! What follows when Kafka refuses a message: the record's dead letter; for a dead letter that is too large, one that
//! only refers to the record.

use std::sync::Arc;

use crate::kafka::produce::producer::DeliveryError;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::model::parcel::{MessageKind, Parcel, ParcelMessage};
use crate::model::work::{RecordChunk, RecordRef};

/// Makes the dead letter of a record whose emission Kafka refused.
pub(crate) type RejectHandler = Box<dyn Fn(&mut Parcel, &RecordRef, &GuestFault) + Send + Sync>;

/// A message of a parcel that was not delivered.
pub(crate) type RejectedMessage = (u32, DeliveryError);

/// What takes the place of a message; nothing when the same message is to be tried again.
fn replacement(message: &ParcelMessage, undelivered: &DeliveryError) -> Option<MessageKind> {
    match message.kind {
        _ if !undelivered.for_good => None,
        MessageKind::Emission => Some(MessageKind::DeadLetter),
        MessageKind::DeadLetter => Some(MessageKind::DeadLetterReference),
        MessageKind::DeadLetterReference => None,
    }
}

fn replace(
    refuse: &RejectHandler,
    into: &mut Parcel,
    parcel: &Parcel,
    message: &ParcelMessage,
    why: &DeliveryError,
    kind: MessageKind,
) {
    if kind == MessageKind::DeadLetterReference {
        // It was dead-lettered before: its class, its message and its attempts are those of then.
        into.copy_as_reference(parcel, message);
        return;
    }
    let record = &parcel.records[message.record as usize];
    let reason = format!("Kafka refused what it emitted to {}: {why}", message.topic);
    refuse(into, record, &GuestFault::new(FaultClass::OutputRefused, reason));
}

/// One line, however many they are: a whole batch is refused at once.
fn warn(parcel: &Parcel, refused: &[RejectedMessage]) {
    let Some((index, undelivered)) = refused.first() else { return };
    let message = &parcel.messages[*index as usize];
    let record = &parcel.records[message.record as usize];
    tracing::warn!(topic = %message.topic, record = %record.chunk.lease.partition, offset = record.record().offset,
        messages = refused.len(), for_good = undelivered.for_good, error = %undelivered, "messages were not delivered");
}

/// Where a record is, so that several refused emissions of one become one dead letter.
fn identity(parcel: &Parcel, message: &ParcelMessage) -> (*const RecordChunk, u32) {
    let record = &parcel.records[message.record as usize];
    (Arc::as_ptr(&record.chunk), record.index)
}

/// The messages that follow `parcel`, of which all but the `refused` ones stand: those again, or their dead letters.
pub(crate) fn follow_up(refuse: &RejectHandler, parcel: &Parcel, refused: &[RejectedMessage]) -> Parcel {
    warn(parcel, refused);
    let mut again = Parcel::default();
    let mut dead = Vec::new();
    for (index, undelivered) in refused {
        let message = &parcel.messages[*index as usize];
        let Some(kind) = replacement(message, undelivered) else {
            again.copy_message(parcel, message);
            continue;
        };
        let identity = identity(parcel, message);
        if !dead.contains(&identity) {
            dead.push(identity);
            replace(refuse, &mut again, parcel, message, undelivered, kind);
        }
    }
    again
}

/// `parcel`, of which nothing stands, with a dead letter in the place of all messages of a record that has a refused one.
/// Nothing when no message was refused for good: then the parcel can only be tried again.
pub(crate) fn amended(refuse: &RejectHandler, parcel: &mut Parcel, refused: &[RejectedMessage]) -> bool {
    warn(parcel, refused);
    let mut dead = Vec::new();
    for (index, undelivered) in refused {
        let message = &parcel.messages[*index as usize];
        if let Some(kind) = replacement(message, undelivered) {
            dead.push((identity(parcel, message), *index, undelivered, kind));
        }
    }
    if dead.is_empty() {
        return false;
    }
    let mut amended = Parcel { runs: std::mem::take(&mut parcel.runs), ..Parcel::default() };
    let mut written = Vec::new();
    for message in &parcel.messages {
        let identity = identity(parcel, message);
        match dead.iter().find(|(of, ..)| *of == identity) {
            None => amended.copy_message(parcel, message),
            Some(_) if written.contains(&identity) => {}
            Some((_, index, undelivered, kind)) => {
                written.push(identity);
                let refused = &parcel.messages[*index as usize];
                replace(refuse, &mut amended, parcel, refused, undelivered, *kind);
            }
        }
    }
    *parcel = amended;
    true
}
