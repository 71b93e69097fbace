//! A dead letter: its record as it was, with headers that say why.

use millstream_flat::Record;

use crate::emit::encoder::EmissionEncoder;
use crate::model::outcome::GuestFault;
use crate::model::parcel::{MessageKind, Parcel, ParcelMessage};
use crate::model::record::unpack_headers;
use crate::model::record_id::RecordId;
use crate::model::stamp::{self, DeadLetterStamp};
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
        let mut record_header = |(name, value): (&[u8], Option<&[u8]>)| {
            if !stamp::is_of_dead_letter(name) {
                parcel.named_header(name, value);
            }
        };
        match (&record.record().original_headers, &input) {
            (Some(all), _) => unpack_headers(chunk.slice(all)).for_each(record_header),
            (None, Some(input)) => input.headers().for_each(|(name, value)| record_header((name.as_bytes(), value))),
            (None, None) => {}
        }
        let partition = chunk.lease.partition.clone();
        let stamp = DeadLetterStamp {
            class: fault.class.as_str().to_owned(),
            message: shorten(&fault.message).to_owned(),
            attempts,
            function: self.stamp().to_owned(),
            record: RecordId { partition, offset: record.record().offset },
            timestamp_ms: input.as_ref().and_then(Record::timestamp_ms),
        };
        stamp.write_headers(parcel);
        let value = match &record.record().original_value {
            Some(original) => Some(chunk.slice(original)),
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
