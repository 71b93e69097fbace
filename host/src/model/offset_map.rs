//! The out-of-order map: finished offsets above the watermark, in the metadata of the commit, and which topic they are of.
//!
//! Layout, version 2, then base64 without padding (rdkafka wants UTF-8):
//!
//! | field | form |
//! |---|---|
//! | version | `u8`, 2 |
//! | topic's id | 16 bytes; zeros where Kafka does not say |
//! | transaction number | varint; 0 outside exactly-once |
//! | ranges | varint count, then for each: varint gap from the end of the one before (or the watermark), varint length |
//! | checksum | CRC-32 of all before, 4 bytes, little endian |
//!
//! Varints are LEB128. Kafka's `offset.metadata.max.bytes` is 4,096 by default.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use crate::model::offsets::PartitionProgress;
use crate::model::topic_id::TopicId;

/// The most characters of metadata: below Kafka's default of 4,096, which a commit must not reach.
pub(crate) const LONGEST: usize = 4000;

const VERSION: u8 = 2;
const CHECKSUM: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodedMap {
    /// The commit's metadata; empty when there is nothing to say.
    pub(crate) text: String,
    /// Ranges that did not fit, the highest ones: they may run again after a crash.
    pub(crate) left_out: usize,
}

/// What a commit's metadata says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedProgress {
    pub(crate) progress: PartitionProgress,
    /// Which topic of that name it is of, where the one who committed knew.
    pub(crate) topic_id: Option<TopicId>,
    /// The transaction's number; 0 outside exactly-once.
    pub(crate) transaction: u64,
}

/// Why metadata is not a map. Its records run again: replayed, never skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataError {
    /// It is not base64.
    #[error("it is not base64")]
    NotBase64,
    /// It is cut short, or longer than it says.
    #[error("it has the wrong length")]
    WrongLength,
    #[error("its checksum does not fit")]
    WrongChecksum,
    #[error("it has version {0}, this host reads version {VERSION}")]
    OtherVersion(u8),
    /// A range is empty or beyond what an offset can be.
    #[error("it holds an impossible range")]
    ImpossibleRange,
}

/// Whether everything that `progress` has above its watermark can be encoded, whatever the transaction's number is.
pub(crate) fn fits(progress: &PartitionProgress) -> bool {
    encode(progress, None, u64::MAX, LONGEST).left_out == 0
}

/// Encodes what `progress` has above its watermark, in at most `longest` characters.
pub(crate) fn encode(
    progress: &PartitionProgress,
    topic_id: Option<TopicId>,
    transaction: u64,
    longest: usize,
) -> EncodedMap {
    if progress.range_count() == 0 && topic_id.is_none() && transaction == 0 {
        return EncodedMap { text: String::new(), left_out: 0 };
    }
    // Three bytes make four characters; the head is at most a version, an id and two varints.
    let room = (longest / 4 * 3).saturating_sub(1 + 16 + 10 + 10 + CHECKSUM);
    let mut body = Vec::new();
    let mut count = 0;
    let mut end = progress.watermark();
    for range in progress.ranges() {
        let before = body.len();
        write_varint(&mut body, (range.start - end) as u64);
        write_varint(&mut body, (range.end - range.start) as u64);
        if body.len() > room {
            body.truncate(before);
            break;
        }
        count += 1;
        end = range.end;
    }
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&TopicId::to_bytes(topic_id));
    write_varint(&mut bytes, transaction);
    write_varint(&mut bytes, count as u64);
    bytes.append(&mut body);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    EncodedMap { text: BASE64.encode(bytes), left_out: progress.range_count() - count }
}

/// Reads the map that was committed with `watermark`.
pub(crate) fn decode(text: &str, watermark: i64) -> Result<CommittedProgress, MetadataError> {
    let mut progress = PartitionProgress::new(watermark);
    if text.is_empty() {
        return Ok(CommittedProgress { progress, topic_id: None, transaction: 0 });
    }
    let bytes = BASE64.decode(text).map_err(|_| MetadataError::NotBase64)?;
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(MetadataError::WrongLength)?;
    if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
        return Err(MetadataError::WrongChecksum);
    }
    let (&version, rest) = content.split_first().ok_or(MetadataError::WrongLength)?;
    if version != VERSION {
        return Err(MetadataError::OtherVersion(version));
    }
    let (topic_id, mut rest) = rest.split_first_chunk::<16>().ok_or(MetadataError::WrongLength)?;
    let transaction = read_varint(&mut rest)?;
    let count = read_varint(&mut rest)?;
    let mut end = watermark;
    for _ in 0..count {
        let start = advance(end, read_varint(&mut rest)?)?;
        end = advance(start, read_varint(&mut rest)?)?;
        progress.finish(start..end, 0);
    }
    if !rest.is_empty() {
        return Err(MetadataError::WrongLength);
    }
    Ok(CommittedProgress { progress, topic_id: TopicId::new(*topic_id), transaction })
}

fn advance(offset: i64, by: u64) -> Result<i64, MetadataError> {
    // Ranges are not empty and do not touch: both steps are at least one.
    let by = i64::try_from(by).ok().filter(|by| *by > 0).ok_or(MetadataError::ImpossibleRange)?;
    offset.checked_add(by).ok_or(MetadataError::ImpossibleRange)
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, MetadataError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(MetadataError::WrongLength)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(MetadataError::ImpossibleRange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn progress(watermark: i64, steps: &[(i64, i64)]) -> PartitionProgress {
        let mut progress = PartitionProgress::new(watermark);
        let mut end = watermark;
        for (gap, length) in steps {
            progress.finish(end + gap..end + gap + length, 0);
            end += gap + length;
        }
        progress
    }

    #[test]
    fn nothing_out_of_order_is_nothing_to_tell() {
        assert_eq!(
            encode(&PartitionProgress::new(7), None, 0, LONGEST),
            EncodedMap { text: String::new(), left_out: 0 }
        );
        assert_eq!(
            decode("", 7),
            Ok(CommittedProgress { progress: PartitionProgress::new(7), topic_id: None, transaction: 0 })
        );
    }

    #[test]
    fn every_other_offset_of_a_full_window_fits() {
        let steps = vec![(1, 1); 500];
        let encoded = encode(&progress(1 << 40, &steps), TopicId::new([255; 16]), 9, LONGEST);
        assert_eq!(encoded.left_out, 0);
        assert!(encoded.text.len() <= LONGEST, "{}", encoded.text.len());
    }

    #[test]
    fn another_version_is_told() {
        let mut bytes = vec![3, 0, 0];
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        assert_eq!(decode(&BASE64.encode(bytes), 0), Err(MetadataError::OtherVersion(3)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(
            watermark in 0..i64::MAX / 2,
            steps in prop::collection::vec((1..1000i64, 1..100_000i64), 0..200),
            transaction in any::<u64>(),
            topic_id in any::<[u8; 16]>(),
        ) {
            let progress = progress(watermark, &steps);
            let topic_id = TopicId::new(topic_id);
            let encoded = encode(&progress, topic_id, transaction, LONGEST);
            prop_assert_eq!(encoded.left_out, 0);
            prop_assert_eq!(decode(&encoded.text, watermark), Ok(CommittedProgress { progress, topic_id, transaction }));
        }

        #[test]
        fn what_does_not_fit_is_left_out_from_the_top(
            steps in prop::collection::vec((1..1000i64, 1..1000i64), 1..400),
            longest in 80..600usize,
        ) {
            let whole = progress(5, &steps);
            let encoded = encode(&whole, None, 1, longest);
            prop_assert!(encoded.text.len() <= longest);
            let read = decode(&encoded.text, 5).expect("what was encoded can be read");
            let kept: Vec<_> = read.progress.ranges().collect();
            let all: Vec<_> = whole.ranges().collect();
            prop_assert_eq!(&all[..all.len() - encoded.left_out], &kept[..]);
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".*", watermark in any::<i64>()) {
            let _ = decode(&text, watermark);
        }

        #[test]
        fn a_flipped_bit_is_noticed(
            steps in prop::collection::vec((1..1000i64, 1..1000i64), 1..20), byte in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let encoded = encode(&progress(0, &steps), None, 3, LONGEST);
            let mut bytes = BASE64.decode(encoded.text).expect("base64");
            let index = byte.index(bytes.len());
            bytes[index] ^= 1 << bit;
            prop_assert!(decode(&BASE64.encode(bytes), 0).is_err());
        }
    }
}
