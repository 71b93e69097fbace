//! One call: reads the request, has each event handled, and writes the answer.
//!
//! The host's calls and the tests of [`crate::testing`] both come through here.

use millstream_flat::{AnswerWriter, Batch};

use crate::{Emissions, Event, Failure};

/// Where the verdict on one event is written. Consumed by writing, so that each event gets exactly one.
#[derive(Debug)]
pub struct Verdict<'w> {
    writer: &'w mut AnswerWriter,
}

/// Has `handle` judge each event of `request`, in order.
///
/// # Panics
///
/// When `request` is not in the flat layout: host and SDK do not fit together, and a trap that says so is the only
/// answer that the host would understand.
pub fn answer<'e>(request: &'e [u8], mut handle: impl FnMut(Event<'e>, Verdict<'_>)) -> Vec<u8> {
    let batch = match Batch::parse(request) {
        Ok(batch) => batch,
        Err(error) => panic!("this function cannot read what the host sent: {error}"),
    };
    // Most functions emit about as much as they take.
    let mut writer = AnswerWriter::with_buffer(Vec::with_capacity(request.len()));
    for record in batch.records() {
        handle(Event::new(record, batch.deadline_ms()), Verdict { writer: &mut writer });
    }
    writer.finish()
}

impl Verdict<'_> {
    /// Writes what the handler returned.
    pub fn write<'e>(self, result: Result<impl Into<Emissions<'e>>, Failure>) {
        match result.map(Into::into) {
            Ok(emissions) => {
                self.writer.begin_emitted();
                for emission in &emissions {
                    emission.write_to(self.writer);
                }
                self.writer.end_emitted();
            }
            Err(Failure::Retry { after, reason }) => {
                let after_ms = after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX - 1));
                self.writer.retry(after_ms, &reason);
            }
            Err(Failure::Reject { reason }) => self.writer.reject(&reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millstream_flat::{Answer, RecordFields, Verdict as Read, begin_batch, write_record};

    use super::*;
    use crate::Emission;

    fn request(count: u32) -> Vec<u8> {
        let mut request = Vec::new();
        begin_batch(&mut request, count, 0, "test");
        for offset in 0..i64::from(count) {
            write_record(&mut request, &RecordFields { topic: "in", offset, ..RecordFields::default() });
        }
        request
    }

    #[test]
    fn each_event_of_a_batch_gets_its_own_verdict() {
        let request = request(4);
        let answer = answer(&request, |event, verdict| match event.offset() {
            0 => verdict.write(Ok(vec![Emission::new("a"), Emission::new("b")])),
            1 => verdict.write::<'_>(Err::<(), _>(Failure::reject("no"))),
            2 => verdict.write(Err::<(), _>(Failure::retry_after(Duration::MAX, "later"))),
            _ => verdict.write(Ok(())),
        });
        let answer = Answer::parse(&answer).unwrap();
        let verdicts: Vec<_> = answer.verdicts().collect();
        assert!(matches!(verdicts[0], Read::Emitted(emissions) if emissions.len() == 2));
        assert!(matches!(verdicts[1], Read::Reject { reason: "no" }));
        assert!(matches!(verdicts[2], Read::Retry { after_ms: Some(_), reason: "later" }));
        assert!(matches!(verdicts[3], Read::Emitted(emissions) if emissions.is_empty()));
    }

    #[test]
    fn an_empty_batch_has_an_empty_answer() {
        let answer = answer(&request(0), |_, _| unreachable!("there is no event"));
        assert!(Answer::parse(&answer).unwrap().is_empty());
    }

    #[test]
    #[should_panic(expected = "cannot read what the host sent")]
    fn a_request_of_another_kind_ends_the_call() {
        answer(b"{}", |_, _| {});
    }
}
