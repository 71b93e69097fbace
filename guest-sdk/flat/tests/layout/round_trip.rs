//! What is written is read again.

use millstream_flat::{Answer, Batch, Record, Verdict, set_attempt};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::owned::{OwnedVerdict, answer, record, request, verdict};

proptest! {
    #[test]
    fn a_record_comes_back_wherever_it_is_moved(record in record(), shift in 0..8_usize, attempt in any::<u32>()) {
        let mut out = vec![0xaa; shift];
        record.write(&mut out);
        let mut blob = out.split_off(shift);
        prop_assert_eq!(blob.len() % 8, 0);
        record.assert_same(&Record::parse(&blob, "c").unwrap(), "c");

        set_attempt(&mut blob, attempt);
        let again = crate::owned::OwnedRecord { attempt, ..record };
        again.assert_same(&Record::parse(&blob, "c").unwrap(), "c");
    }

    #[test]
    fn a_batch_comes_back(records in vec(record(), 0..6), deadline_ms in any::<u64>(), cluster in "\\PC{0,12}") {
        let bytes = request(&records, deadline_ms, &cluster);
        let batch = Batch::parse(&bytes).unwrap();
        prop_assert_eq!((batch.len(), batch.is_empty()), (records.len(), records.is_empty()));
        prop_assert_eq!((batch.deadline_ms(), batch.cluster()), (deadline_ms, &*cluster));
        prop_assert_eq!(batch.records().count(), records.len());
        for (read, written) in batch.records().zip(&records) {
            written.assert_same(&read, &cluster);
        }
    }

    #[test]
    fn an_answer_comes_back(verdicts in vec(verdict(), 0..6)) {
        let bytes = answer(&verdicts);
        let answer = Answer::parse(&bytes).unwrap();
        prop_assert_eq!((answer.len(), answer.is_empty()), (verdicts.len(), verdicts.is_empty()));
        prop_assert_eq!(answer.verdicts().count(), verdicts.len());
        for (read, written) in answer.verdicts().zip(&verdicts) {
            match (read, written) {
                (Verdict::Emitted(read), OwnedVerdict::Emitted(written)) => {
                    prop_assert_eq!((read.len(), read.iter().count()), (written.len(), written.len()));
                    for (read, written) in read.iter().zip(written) {
                        written.assert_same(&read);
                    }
                }
                (Verdict::Retry { after_ms, reason }, OwnedVerdict::Retry(after, written)) => {
                    prop_assert_eq!((after_ms, reason), (*after, &**written));
                }
                (Verdict::Reject { reason }, OwnedVerdict::Reject(written)) => prop_assert_eq!(reason, &**written),
                (read, written) => panic!("{written:?} became {read:?}"),
            }
        }
    }

    #[test]
    fn attributes_are_found_by_name(record in record()) {
        let mut blob = Vec::new();
        record.write(&mut blob);
        let read = Record::parse(&blob, "c").unwrap();
        assert_eq!(read.attribute("specversion").as_deref(), Some("1.0"));
        prop_assert_eq!(read.attribute("id"), Some(read.id()));
        prop_assert_eq!(read.attribute("source"), Some(read.source()));
        assert_eq!(read.attribute("type").as_deref(), Some(read.type_()));
        assert_eq!(read.attribute("subject").as_deref(), read.subject());
        for (name, _) in read.extensions() {
            let first = read.extensions().find(|(found, _)| *found == name).map(|(_, value)| value);
            prop_assert_eq!(read.extension(name), first);
        }
    }
}
