//! Tests of functions, without Kafka, host or Wasm.
//!
//! ```
//! use millstream_sdk::{Emission, Event, Failure, testing};
//!
//! fn shout(event: Event<'_>) -> Result<Emission<'_>, Failure> {
//!     Ok(Emission::new(event.text()?.to_uppercase()))
//! }
//!
//! let outcome = testing::event().key("k").data("hello").run(shout);
//! outcome.assert_emitted(1).assert_output("default");
//! assert_eq!(outcome.emission(0).text(), "HELLO");
//! assert_eq!(outcome.emission(0).key(), Some(&b"k"[..]));
//!
//! testing::event().data(b"\xff").run(shout).assert_rejected("invalid utf-8");
//! ```
//!
//! The event and the outcome go through the same layout as between host and Wasm, so that a test sees what the host
//! would. What the host adds is not there: the manifest's outputs and limits, retries, and the attributes it fills in.

mod event;
mod outcome;

pub use event::EventBuilder;
pub use outcome::{Emitted, Outcome};

/// An event to test with: a record of topic `test`, partition 0, offset 0, first attempt, with empty data and no key.
///
/// It isn't a CloudEvent until an attribute is set.
pub fn event() -> EventBuilder {
    EventBuilder::new()
}
