//! The flat batch layout that a Millstream host and its functions exchange.
//!
//! One call of a function carries many records in one contiguous buffer, and brings one verdict for each. Lifting ten
//! strings of a record one by one costs more than the work that most functions do; a buffer costs one copy.
//!
//! `wit/flat-layout.md` describes every field. All numbers are little endian. A reader checks a buffer once, in `parse`;
//! what it gives afterwards borrows from the buffer and cannot fail. No input, however broken, makes a reader panic or
//! allocate more than it was given.
//!
//! ```
//! use millstream_flat::{AnswerWriter, Answer, Batch, EmissionFields, RecordFields, begin_batch, write_record};
//!
//! let mut request = Vec::new();
//! begin_batch(&mut request, 1, 0, "production");
//! let fields = RecordFields { topic: "bids", offset: 7, data: Some(b"hello"), ..RecordFields::default() };
//! write_record(&mut request, &fields);
//!
//! let batch = Batch::parse(&request)?;
//! let mut answer = AnswerWriter::new();
//! for record in batch.records() {
//!     answer.begin_emitted();
//!     answer.emission(&EmissionFields { data: record.data(), ..EmissionFields::default() });
//!     answer.end_emitted();
//! }
//! assert_eq!(Answer::parse(&answer.finish())?.len(), 1);
//! # Ok::<(), millstream_flat::LayoutError>(())
//! ```
#![forbid(unsafe_code)]

mod answer;
mod answer_writer;
mod batch;
mod bytes;
mod emission;
mod error;
mod record;
mod record_writer;

pub use answer::{Answer, Emissions, Verdict};
pub use answer_writer::AnswerWriter;
pub use batch::{Batch, begin_batch};
pub use emission::{Emission, EmissionFields, EmissionKey};
pub use error::LayoutError;
pub use record::Record;
pub use record_writer::{Attributes, RecordFields, set_attempt, write_record};

/// The version of the layout that this crate reads and writes.
pub const VERSION: u16 = 1;
