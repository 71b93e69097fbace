//! What follows when Kafka refuses a message: the record's dead letter; for a dead letter that is too large, one that
//! only refers to the record.

use std::sync::Arc;

use crate::kafka::producer::Undelivered;
use crate::model::outcome::{Fault, FaultClass};
use crate::model::parcel::{Message, MessageKind, Parcel};
use crate::model::work::{Chunk, RecordRef};

/// Makes the dead letter of a record whose emission Kafka refused.
pub type Refuse = Box<dyn Fn(&mut Parcel, &RecordRef, &Fault) + Send + Sync>;

/// A message of a parcel that was not delivered.
pub type Refused = (u32, Undelivered);

/// What takes the place of a message; nothing when the same message is to be tried again.
fn replacement(message: &Message, undelivered: &Undelivered) -> Option<MessageKind> {
    match message.kind {
        _ if !undelivered.for_good => None,
        MessageKind::Emission => Some(MessageKind::DeadLetter),
        MessageKind::DeadLetter => Some(MessageKind::DeadLetterReference),
        MessageKind::DeadLetterReference => None,
    }
}

fn replace(
    refuse: &Refuse,
    into: &mut Parcel,
    parcel: &Parcel,
    message: &Message,
    why: &Undelivered,
    kind: MessageKind,
) {
    if kind == MessageKind::DeadLetterReference {
        // It was given up before: its class, its message and its attempts are those of then.
        into.copy_as_reference(parcel, message);
        return;
    }
    let record = &parcel.records[message.record as usize];
    let reason = format!("Kafka refused what it emitted to {}: {why}", message.topic);
    refuse(into, record, &Fault::new(FaultClass::OutputRefused, reason));
}

/// One line, however many they are: a whole batch is refused at once.
fn warn(parcel: &Parcel, refused: &[Refused]) {
    let Some((index, undelivered)) = refused.first() else { return };
    let message = &parcel.messages[*index as usize];
    let record = &parcel.records[message.record as usize];
    tracing::warn!(topic = %message.topic, record = %record.chunk.lease.partition, offset = record.record().offset,
        messages = refused.len(), for_good = undelivered.for_good, error = %undelivered, "messages were not delivered");
}

/// Where a record is, so that several refused emissions of one become one dead letter.
fn identity(parcel: &Parcel, message: &Message) -> (*const Chunk, u32) {
    let record = &parcel.records[message.record as usize];
    (Arc::as_ptr(&record.chunk), record.index)
}

/// The messages that follow `parcel`, of which all but the `refused` ones stand: those again, or their dead letters.
pub(super) fn follow_up(refuse: &Refuse, parcel: &Parcel, refused: &[Refused]) -> Parcel {
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
pub(super) fn amended(refuse: &Refuse, parcel: &mut Parcel, refused: &[Refused]) -> bool {
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
