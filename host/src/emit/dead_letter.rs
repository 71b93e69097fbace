//! A record that was given up: as it was, with headers that say why.

use millstream_flat::Record;

use crate::emit::encoder::EmissionEncoder;
use crate::model::dead_letter::{
    ATTEMPTS, ERROR_CLASS, ERROR_MESSAGE, FUNCTION, OFFSET, PARTITION, TIMESTAMP, TOPIC, is_ours,
};
use crate::model::outcome::GuestFault;
use crate::model::parcel::{MessageKind, Parcel, ParcelMessage};
use crate::model::work::RecordRef;

/// The most of an error's text that a header carries, in bytes.
const LONGEST_MESSAGE: usize = 4096;

impl EmissionEncoder {
    /// Adds the dead letter of a record to `parcel`.
    pub(crate) fn dead_letter(&self, parcel: &mut Parcel, record: &RecordRef, fault: &GuestFault, attempts: u32) {
        let chunk = &record.chunk;
        let input = match Record::parse(record.flat(), "") {
            Ok(input) => Some(input),
            Err(error) => {
                // The host encoded it itself, so this is a defect of the host: the record is referred to all the same.
                tracing::error!(%error, place = %chunk.lease.partition, "a record can't be read back for its dead letter");
                None
            }
        };
        let first_header = parcel.headers.len() as u32;
        if let Some(input) = &input {
            for (name, value) in input.headers().filter(|(name, _)| !is_ours(name)) {
                parcel.named_header(name, value);
            }
        }
        let timestamp = input.as_ref().and_then(Record::timestamp_ms).map(|millis| millis.to_string());
        parcel.header(ERROR_CLASS, fault.class.as_str().as_bytes());
        parcel.header(ERROR_MESSAGE, shorten(&fault.message).as_bytes());
        parcel.header(ATTEMPTS, attempts.to_string().as_bytes());
        parcel.header(FUNCTION, self.stamp().as_bytes());
        parcel.header(TOPIC, chunk.lease.partition.topic.as_bytes());
        parcel.header(PARTITION, chunk.lease.partition.partition.to_string().as_bytes());
        parcel.header(OFFSET, record.record().offset.to_string().as_bytes());
        parcel.header(TIMESTAMP, timestamp.as_deref().unwrap_or("").as_bytes());
        let value = match &record.record().original_value {
            Some(original) => Some(&chunk.arena[original.start as usize..original.end as usize]),
            None => input.as_ref().and_then(Record::data),
        };
        let value = value.map(|value| parcel.store(value));
        let key = input.as_ref().and_then(Record::key).map(|key| parcel.store(key));
        parcel.records.push(record.clone());
        parcel.messages.push(ParcelMessage {
            topic: self.dead_letters.topic.clone(),
            compression: None,
            batch_bytes: self.dead_letters.batch_bytes,
            key,
            value,
            headers: first_header..parcel.headers.len() as u32,
            record: parcel.records.len() as u32 - 1,
            kind: MessageKind::DeadLetter,
        });
    }
}

fn shorten(message: &str) -> &str {
    let mut end = message.len().min(LONGEST_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}
