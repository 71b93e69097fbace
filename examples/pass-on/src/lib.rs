//! Lesson 12: the least that a function can do, and what its manifest does for it.
//!
//! It passes each event on as it is: its data, key, attributes and extensions. Which events those are, filters decide
//! before the sandbox; where they go and in which form, the outputs. So a part of a topic becomes a topic of its own, or
//! events in headers become events in JSON, without another line of code.

use millstream_sdk::{Emission, Event, Failure};

#[millstream_sdk::function]
pub fn pass_on(event: Event<'_>) -> Result<Emission<'_>, Failure> {
    Ok(Emission::forward(&event))
}

#[cfg(test)]
mod tests {
    use millstream_sdk::testing;

    use super::*;

    #[test]
    fn an_event_stays_what_it_is() {
        let outcome = testing::event().key("k").type_("bid.placed").subject("lamp").data("any\0thing").run(pass_on);
        let passed = outcome.assert_emitted(1).emission(0);
        assert_eq!((passed.type_(), passed.subject()), (Some("bid.placed"), Some("lamp")));
        assert_eq!((passed.key(), passed.data()), (Some(&b"k"[..]), Some(&b"any\0thing"[..])));
    }
}
