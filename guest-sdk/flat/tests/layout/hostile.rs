//! Bytes that no writer makes: cut, flipped, invented. A reader refuses them or reads them, and does nothing else.

use std::hint::black_box;

use millstream_flat::{Answer, Batch, LayoutError, Record, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::owned::{answer, record, request, verdict};

/// Reads all of a record that was accepted.
fn exhaust_record(record: &Record<'_>) {
    black_box((record.id(), record.source(), record.type_(), record.subject(), record.time()));
    black_box((record.datacontenttype(), record.dataschema(), record.key(), record.data()));
    black_box((record.extensions().count(), record.headers().count(), record.attribute("x")));
}

/// Reads a request to its end, if it is accepted; what it promises has to be there.
fn exhaust_request(bytes: &[u8]) {
    if let Ok(batch) = Batch::parse(bytes) {
        assert_eq!(batch.records().inspect(exhaust_record).count(), batch.len());
    }
    if let Ok(record) = Record::parse(bytes, "c") {
        exhaust_record(&record);
    }
}

/// The same of an answer.
fn exhaust_answer(bytes: &[u8]) {
    let Ok(answer) = Answer::parse(bytes) else { return };
    let mut verdicts = 0;
    for verdict in answer.verdicts() {
        verdicts += 1;
        let Verdict::Emitted(emissions) = verdict else { continue };
        let mut count = 0;
        for emission in emissions.iter() {
            count += 1;
            black_box((emission.output(), emission.key(), emission.data(), emission.type_()));
            black_box((emission.extensions().count(), emission.headers().count()));
        }
        assert_eq!(count, emissions.len());
    }
    assert_eq!(verdicts, answer.len());
}

fn flip(bytes: &mut [u8], flips: &[(Index, u8)]) {
    for (place, mask) in flips {
        let place = place.index(bytes.len());
        bytes[place] ^= mask;
    }
}

/// Replaces an aligned number, where lengths and counts are, by one that is likely to hurt.
fn overwrite(bytes: &mut [u8], place: Index, number: u32) {
    let place = place.index(bytes.len() / 4) * 4;
    bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
}

fn hurtful() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(3), Just(u32::MAX), Just(u32::MAX - 1), Just(1 << 31), any::<u32>()]
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived(bytes in vec(any::<u8>(), 0..300)) {
        exhaust_request(&bytes);
        exhaust_answer(&bytes);
        exhaust_request(&[b"MSRQ\x01\0\0\0", &bytes[..]].concat());
        exhaust_answer(&[b"MSAN\x01\0\0\0", &bytes[..]].concat());
    }

    #[test]
    fn every_truncation_is_refused(records in vec(record(), 1..3), verdicts in vec(verdict(), 1..3)) {
        let request = request(&records, 0, "c");
        for length in 0..request.len() {
            prop_assert!(Batch::parse(&request[..length]).is_err(), "a request cut at {length}");
        }
        let answer = answer(&verdicts);
        for length in 0..answer.len() {
            prop_assert!(Answer::parse(&answer[..length]).is_err(), "an answer cut at {length}");
        }
    }

    #[test]
    fn flipped_bits_are_survived(
        records in vec(record(), 0..3), verdicts in vec(verdict(), 0..3),
        flips in vec((any::<Index>(), 1_u8..), 1..4), place in any::<Index>(), number in hurtful(),
    ) {
        let (mut request, mut answer) = (request(&records, 0, "c"), answer(&verdicts));
        overwrite(&mut request, place, number);
        overwrite(&mut answer, place, number);
        exhaust_request(&request);
        exhaust_answer(&answer);
        flip(&mut request, &flips);
        flip(&mut answer, &flips);
        exhaust_request(&request);
        exhaust_answer(&answer);
    }

    #[test]
    fn what_follows_the_end_is_refused(records in vec(record(), 0..3), verdicts in vec(verdict(), 0..3)) {
        let (mut request, mut answer) = (request(&records, 0, "c"), answer(&verdicts));
        request.extend([0; 8]);
        answer.push(0);
        prop_assert!(Batch::parse(&request).is_err());
        prop_assert!(Answer::parse(&answer).is_err());
    }
}

#[test]
fn a_forged_count_is_refused_before_anything_is_kept() {
    let mut forged = answer(&[]);
    forged[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Answer::parse(&forged), Err(LayoutError::CutShort { .. })));
    let mut forged = request(&[], 0, "c");
    forged[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Batch::parse(&forged), Err(LayoutError::CutShort { .. })));
}

#[test]
fn other_kinds_and_versions_are_named() {
    let request = request(&[], 0, "c");
    assert_eq!(Answer::parse(&request).unwrap_err(), LayoutError::WrongMark { expected: "answer" });
    let mut later = request;
    later[4] = 2;
    assert_eq!(Batch::parse(&later).unwrap_err(), LayoutError::WrongVersion { found: 2, expected: 1 });
}
