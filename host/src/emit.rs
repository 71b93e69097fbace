//! L3: from verdicts to records for output and dead letter topics.
//!
//! Owns how an emission or a dead letter is written to Kafka, and which outputs a function has. Publishes nothing: it
//! fills parcels for the committer.

pub(crate) mod attributes;
pub(crate) mod dead_letter;
pub(crate) mod encoder;
pub(crate) mod structured;
pub(crate) mod traceparent;

#[cfg(test)]
mod tests;
