//! L3: from verdicts to records for output and dead letter topics.
//!
//! Owns how an emission or a dead letter is written to Kafka, and which outputs a function has. Publishes nothing: it
//! fills parcels for the committer.

pub mod attributes;
pub mod dead_letter;
pub mod encoder;
pub mod structured;
pub mod traceparent;

#[cfg(test)]
mod tests;
