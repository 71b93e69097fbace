//! Lesson 1: a function is a Rust function from an event to what it emits.
//!
//! It answers each record with the same bytes in ASCII upper case. All that is not an ASCII letter stays as it is, so
//! any bytes will do, text or not.

use millstream_sdk::{Emission, Event, Failure};

// The attribute makes this function the one that Millstream calls.
#[millstream_sdk::function]
pub fn uppercase(event: Event<'_>) -> Result<Emission<'_>, Failure> {
    // Kafka distinguishes a record without a value, a "tombstone", from one with an empty value. So do we.
    if event.is_tombstone() {
        return Ok(Emission::tombstone());
    }
    // An emission goes to the output `default` of millstream.toml, with the key of the event, unless we say otherwise.
    Ok(Emission::new(event.data().to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use millstream_sdk::testing;

    use super::*;

    #[test]
    fn letters_become_upper_case_and_the_key_stays() {
        let outcome = testing::event().key("greeting").data("hello, wörld").run(uppercase);
        outcome.assert_emitted(1).assert_output("default");
        assert_eq!(outcome.emission(0).text(), "HELLO, WöRLD");
        assert_eq!(outcome.emission(0).key(), Some(&b"greeting"[..]));
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let outcome = testing::event().data(b"\xff\x00a").run(uppercase);
        assert_eq!(outcome.emission(0).data(), Some(&b"\xff\x00A"[..]));
    }

    #[test]
    fn a_tombstone_stays_a_tombstone() {
        let outcome = testing::event().key("gone").tombstone().run(uppercase);
        assert_eq!(outcome.emission(0).data(), None);
    }
}
