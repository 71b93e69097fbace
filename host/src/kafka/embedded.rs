//! The broker inside the binary: librdkafka's mock cluster. For trying things; `docs/operations.md` tells its limits.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// A broker in this process, on loopback. It ends when the last clone is dropped.
#[derive(Clone)]
pub struct EmbeddedBroker(Arc<Inner>);

struct Inner {
    cluster: MockCluster<'static, DefaultProducerContext>,
    topics: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("EmbeddedBroker").field(&self.bootstrap_servers()).finish()
    }
}

impl EmbeddedBroker {
    /// Starts it on a free port.
    pub fn start() -> Result<Self, KafkaError> {
        let cluster = MockCluster::new(1)?;
        Ok(Self(Arc::new(Inner { cluster, topics: Mutex::default() })))
    }

    /// Where it listens.
    pub fn bootstrap_servers(&self) -> String {
        self.0.cluster.bootstrap_servers()
    }

    /// Creates `topic` unless it was created here before.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let mut topics = self.0.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if topics.contains(topic) {
            return Ok(());
        }
        self.0.cluster.create_topic(topic, partitions, 1)?;
        topics.insert(topic.to_owned());
        Ok(())
    }
}
