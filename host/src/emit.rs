//! L3: from verdicts to records for output and dead letter topics.
