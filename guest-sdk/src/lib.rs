//! Write Millstream functions in Rust: an event in, events out.
//!
//! ```
//! use millstream_sdk::{Emission, Event, Failure};
//!
//! #[derive(serde::Deserialize)]
//! struct Bid {
//!     item: String,
//!     amount: u64,
//! }
//!
//! #[millstream_sdk::function]
//! fn high_bids(event: Event<'_>) -> Result<Option<Emission<'_>>, Failure> {
//!     let bid: Bid = event.json()?; // data that is no bid goes to the dead letters
//!     if bid.amount < 1_000 {
//!         return Ok(None); // nothing is emitted, and the record is done
//!     }
//!     Ok(Some(Emission::forward(&event).output("high").subject(bid.item)))
//! }
//!
//! // The handler stays an ordinary function: it is tested without Kafka, host or Wasm.
//! use millstream_sdk::testing;
//! let bid = serde_json::json!({ "item": "lamp", "amount": 2_000 });
//! testing::event().json(&bid).run(high_bids).assert_emitted(1).assert_output("high");
//! ```
//!
//! Build it with `crate-type = ["cdylib"]` and `cargo build --release --target wasm32-wasip2`. A crate is one function.
//!
//! What the handler returns is emitted as a whole or not at all: a [`Failure`], a panic or a timeout leaves nothing
//! behind. `static`s live as long as the sandbox, which the host reuses or drops as it likes: keep nothing in them that
//! must last.
//!
//! Underneath, one call carries many events in the flat layout of the crate `millstream-flat`. [`Event`] borrows from
//! that buffer and [`Emission`] is written straight into the answer, so that neither copies what it does not change.

mod answer;
mod emission;
mod emissions;
mod event;
#[cfg(target_family = "wasm")]
mod export;
mod failure;
pub mod testing;

pub use emission::Emission;
pub use emissions::Emissions;
pub use event::Event;
pub use failure::Failure;
/// Makes a function the one that Millstream calls.
///
/// It stands on `fn name(event: Event<'_>) -> Result<impl Into<Emissions<'_>>, Failure>`, once in a crate. For Wasm
/// targets it exports the function; everywhere it leaves the function as it is, so that tests call it.
pub use millstream_sdk_macro::function;

/// What the macro's code names. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::answer::{Verdict, answer};
    #[cfg(target_family = "wasm")]
    pub use crate::export::*;
}
