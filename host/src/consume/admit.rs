//! The one way from the bytes of a record to a record of a chunk: decoded, unless a filter keeps it away.

use std::hash::Hasher as _;

use millstream_flat::Record;
use rustc_hash::FxHasher;

use crate::consume::decode::{self, RawFields};
use crate::consume::filter;
use crate::model::function::EventFilter;
use crate::model::work::ChunkRecord;

/// Appends the event of a record to `arena`.
pub(crate) fn decode_record(arena: &mut Vec<u8>, fields: &RawFields<'_>) -> ChunkRecord {
    let decoded = decode::decode(arena, fields);
    ChunkRecord {
        from: fields.offset,
        offset: fields.offset,
        flat: decoded.flat,
        original_value: decoded.original_value,
        original_headers: decoded.original_headers,
        key_hash: fields.key.map(hash),
        undecodable: decoded.undecodable.map(|error| error.0.into()),
    }
}

/// The same, unless one of `filters` keeps the record away: `arena` is as before then. Filters see events only, so an
/// undecodable record passes them all.
pub(crate) fn admit(
    arena: &mut Vec<u8>,
    fields: &RawFields<'_>,
    filters: &[EventFilter],
    cluster: &str,
) -> Option<ChunkRecord> {
    let arena_length = arena.len();
    let record = decode_record(arena, fields);
    if record.undecodable.is_none() && !filters.is_empty() {
        let flat = &arena[record.flat.start as usize..record.flat.end as usize];
        let passes = Record::reread(flat, cluster)
            .is_ok_and(|event| filter::passes(filters, &|name: &str| event.attribute(name)));
        if !passes {
            arena.truncate(arena_length);
            return None;
        }
    }
    Some(record)
}

fn hash(key: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::RecordHeaders;

    fn fields<'a>(headers: &'a RecordHeaders<'a>) -> RawFields<'a> {
        let (key, value) = (Some(&b"k"[..]), Some(&b"v"[..]));
        RawFields { topic: "in", partition: 0, offset: 7, timestamp_ms: None, key, value, headers }
    }

    fn only(type_: &str) -> [EventFilter; 1] {
        [EventFilter::Exact([("type".to_owned(), type_.to_owned())].into())]
    }

    #[test]
    fn a_record_that_a_filter_keeps_away_leaves_nothing_in_the_arena() {
        let mut arena = Vec::new();
        let plain = only("dev.millstream.record");
        let record = admit(&mut arena, &fields(&RecordHeaders::default()), &plain, "test").expect("it passes");
        assert_eq!((record.offset, record.flat.end as usize), (7, arena.len()));
        assert_eq!(record.key_hash, Some(hash(b"k")));
        let length = arena.len();
        assert!(admit(&mut arena, &fields(&RecordHeaders::default()), &only("other"), "test").is_none());
        assert_eq!(arena.len(), length);
    }

    #[test]
    fn no_filter_keeps_an_undecodable_record_away() {
        let mut arena = Vec::new();
        let claims: RecordHeaders<'_> = [("ce_specversion", Some(&b"0.3"[..]))].into_iter().collect();
        let record = admit(&mut arena, &fields(&claims), &only("other"), "test").expect("a record");
        assert!(record.undecodable.is_some());
    }
}
