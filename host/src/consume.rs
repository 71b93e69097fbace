//! L3: from Kafka's records to chunks of events.
