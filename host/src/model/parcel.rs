//! Finished outcomes, encoded and ready to be published: what the emit stage hands to the committer.

use std::ops::Range;
use std::sync::Arc;

use crate::model::batch_bytes::BatchBytes;
use crate::model::function::Compression;
use crate::model::lease::PartitionLease;
use crate::model::record::HeaderRef;
use crate::model::stamp::{self, HeaderSink};
use crate::model::work::RecordRef;

/// Messages in one arena, and the offsets that are finished once all of them are acknowledged.
#[derive(Debug, Default)]
pub struct Parcel {
    /// What messages and headers point into.
    pub(crate) arena: Vec<u8>,
    /// In the order in which they are to be written.
    pub(crate) messages: Vec<ParcelMessage>,
    pub(crate) headers: Vec<ParcelHeader>,
    /// The records that messages are of; kept for a dead letter, should Kafka refuse a message.
    pub(crate) records: Vec<RecordRef>,
    /// What is finished, in runs.
    pub(crate) runs: Vec<FinishedRun>,
}

/// A message to be written.
#[derive(Debug, Clone)]
pub(crate) struct ParcelMessage {
    pub(crate) topic: Arc<str>,
    /// The topic's compression, when it has its own.
    pub(crate) compression: Option<Compression>,
    /// The most bytes of a batch that the topic takes, where that is known.
    pub(crate) batch_bytes: Option<BatchBytes>,
    /// The key, in the arena.
    pub(crate) key: Option<Range<u32>>,
    /// The value, in the arena.
    pub(crate) value: Option<Range<u32>>,
    /// Its headers, among the parcel's.
    pub(crate) headers: Range<u32>,
    /// Its record, among the parcel's.
    pub(crate) record: u32,
    pub(crate) kind: MessageKind,
}

/// What a message is, and so what follows when Kafka refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MessageKind {
    /// An event that the guest emitted.
    Emission,
    /// A dead letter with its record's value.
    DeadLetter,
    /// A dead letter that only refers to the record, because its value is too large.
    DeadLetterReference,
}

/// A header of a message.
#[derive(Debug, Clone)]
pub(crate) struct ParcelHeader {
    pub(crate) name: HeaderName,
    /// The value, in the arena.
    pub(crate) value: Option<Range<u32>>,
}

#[derive(Debug, Clone)]
pub(crate) enum HeaderName {
    /// One that the host knows.
    Fixed(&'static str),
    /// Bytes in the arena.
    InArena(Range<u32>),
}

/// Consecutive offsets that are finished, under one lease.
#[derive(Debug, Clone)]
pub(crate) struct FinishedRun {
    /// The right under which they were worked on.
    pub(crate) lease: Arc<PartitionLease>,
    /// From the first offset accounted for to after the last record.
    pub(crate) offsets: Range<i64>,
    pub(crate) records: usize,
}

impl Parcel {
    /// An empty parcel with room for `messages` that hold as many `bytes`: growing copies what is there again and again.
    pub(crate) fn with_room_for(messages: usize, bytes: usize) -> Self {
        Self {
            arena: Vec::with_capacity(bytes),
            messages: Vec::with_capacity(messages),
            records: Vec::with_capacity(messages),
            ..Self::default()
        }
    }

    /// Gives back room that was not needed, where that is worth a copy.
    pub(crate) fn close(&mut self) {
        if self.arena.len() < self.arena.capacity() / 2 {
            self.arena.shrink_to_fit();
        }
    }

    /// Whether there is nothing to publish and nothing finished.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.runs.is_empty()
    }

    /// About how much memory it holds.
    pub(crate) fn bytes(&self) -> u64 {
        (self.arena.len()
            + self.messages.len() * size_of::<ParcelMessage>()
            + self.headers.len() * size_of::<ParcelHeader>()) as u64
    }

    /// Copies bytes into the arena.
    #[inline]
    pub(crate) fn store(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        start..self.arena.len() as u32
    }

    pub(crate) fn slice(&self, range: &Range<u32>) -> &[u8] {
        &self.arena[range.start as usize..range.end as usize]
    }

    /// Adds a header with a name of the guest's or the producer's.
    pub(crate) fn named_header(&mut self, name: &[u8], value: Option<&[u8]>) {
        let name = HeaderName::InArena(self.store(name));
        let value = value.map(|value| self.store(value));
        self.headers.push(ParcelHeader { name, value });
    }

    pub(crate) fn headers_of(&self, message: &ParcelMessage) -> impl Iterator<Item = HeaderRef<'_>> + Clone {
        self.headers[message.headers.start as usize..message.headers.end as usize].iter().map(|header| {
            let name = match &header.name {
                HeaderName::Fixed(name) => name.as_bytes(),
                HeaderName::InArena(range) => self.slice(range),
            };
            (name, header.value.as_ref().map(|value| self.slice(value)))
        })
    }

    /// Notes that a record is finished; adjacent ones join into one run.
    pub(crate) fn finish(&mut self, record: &RecordRef) {
        let offsets = record.record().from..record.record().offset + 1;
        let lease = &record.chunk.lease;
        if let Some(last) = self.runs.last_mut()
            && last.lease.epoch == lease.epoch
            && last.offsets.end == offsets.start
        {
            last.offsets.end = offsets.end;
            last.records += 1;
            return;
        }
        self.runs.push(FinishedRun { lease: lease.clone(), offsets, records: 1 });
    }

    /// Where the parcel stands, to come back to with [`Self::undo`].
    pub(crate) fn mark(&self) -> ParcelMark {
        ParcelMark {
            arena: self.arena.len(),
            messages: self.messages.len(),
            headers: self.headers.len(),
            records: self.records.len(),
        }
    }

    /// Takes back the messages added since `mark`: an invocation's emissions appear all or not at all.
    pub(crate) fn undo(&mut self, mark: ParcelMark) {
        self.arena.truncate(mark.arena);
        self.messages.truncate(mark.messages);
        self.headers.truncate(mark.headers);
        self.records.truncate(mark.records);
    }

    /// Drops what was done under leases that `stays` does not want: their messages and their runs.
    pub(crate) fn retain(&mut self, stays: impl Fn(&PartitionLease) -> bool) {
        if self.runs.iter().all(|run| stays(&run.lease)) && self.records.iter().all(|of| stays(&of.chunk.lease)) {
            return;
        }
        let mut runs = std::mem::take(&mut self.runs);
        runs.retain(|run| stays(&run.lease));
        let mut kept = Self { runs, ..Self::default() };
        let is_kept = |message: &&ParcelMessage| stays(&self.records[message.record as usize].chunk.lease);
        self.messages.iter().filter(is_kept).for_each(|message| kept.copy_message(self, message));
        *self = kept;
    }

    /// Splits off the runs that `goes` wants, asked in order, with the messages of their records.
    pub(crate) fn take_runs(&mut self, goes: impl FnMut(&FinishedRun) -> bool) -> Self {
        let mut goes = goes;
        let runs: Vec<FinishedRun> = self.runs.extract_if(.., |run| goes(run)).collect();
        let mut taken = Self { runs, ..Self::default() };
        if taken.runs.is_empty() {
            return taken;
        }
        let mut left = Self { runs: std::mem::take(&mut self.runs), ..Self::default() };
        for message in &self.messages {
            let record = &self.records[message.record as usize];
            let (epoch, offset) = (record.chunk.lease.epoch, record.record().offset);
            let is_taken = taken.runs.iter().any(|run| run.lease.epoch == epoch && run.offsets.contains(&offset));
            let side = if is_taken { &mut taken } else { &mut left };
            side.copy_message(self, message);
        }
        *self = left;
        taken
    }

    /// Records that are finished with it.
    pub(crate) fn finished_records(&self) -> usize {
        self.runs.iter().map(|run| run.records).sum()
    }

    /// Copies a message of `other` with all that belongs to it.
    pub(crate) fn copy_message(&mut self, other: &Parcel, message: &ParcelMessage) {
        let first_header = self.copy_headers(other, message);
        let value = message.value.as_ref().map(|value| self.store(other.slice(value)));
        self.push_copy(other, message, first_header, value, message.kind);
    }

    /// Copies a dead letter of `other` that is too large: without its value, and marked so. Why the record was
    /// dead-lettered stays.
    pub(crate) fn copy_as_reference(&mut self, other: &Parcel, message: &ParcelMessage) {
        let first_header = self.copy_headers(other, message);
        self.header(stamp::VALUE_TRUNCATED, b"true");
        self.push_copy(other, message, first_header, None, MessageKind::DeadLetterReference);
    }

    fn copy_headers(&mut self, other: &Parcel, message: &ParcelMessage) -> u32 {
        let first_header = self.headers.len() as u32;
        for (name, value) in other.headers_of(message) {
            self.named_header(name, value);
        }
        first_header
    }

    fn push_copy(
        &mut self,
        other: &Parcel,
        message: &ParcelMessage,
        first_header: u32,
        value: Option<Range<u32>>,
        kind: MessageKind,
    ) {
        let key = message.key.as_ref().map(|key| self.store(other.slice(key)));
        self.records.push(other.records[message.record as usize].clone());
        self.messages.push(ParcelMessage {
            key,
            value,
            headers: first_header..self.headers.len() as u32,
            record: self.records.len() as u32 - 1,
            kind,
            ..message.clone()
        });
    }
}

impl HeaderSink for Parcel {
    /// Adds a header for the next message.
    #[inline]
    fn header(&mut self, name: &'static str, value: &[u8]) {
        let value = Some(self.store(value));
        self.headers.push(ParcelHeader { name: HeaderName::Fixed(name), value });
    }
}

/// A point in the making of a parcel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParcelMark {
    arena: usize,
    messages: usize,
    headers: usize,
    records: usize,
}
