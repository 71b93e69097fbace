//! The broker inside the binary: librdkafka's mock cluster. For trying things; `docs/operations.md` lists its limits.
//!
//! The cluster's handle must stay on one thread, so it lives on one of its own, which takes requests.

use std::collections::HashSet;
use std::sync::mpsc;
use std::thread;

use rdkafka::ClientConfig;
use rdkafka::bindings as ffi;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};

/// A broker in this process, on loopback. It ends when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddedBroker {
    bootstrap_servers: String,
    requests: mpsc::Sender<BrokerRequest>,
}

/// Why the broker does not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmbeddedError {
    /// Its thread could not be started.
    #[error("the embedded broker's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the embedded broker refuses: {0}")]
    Refused(#[from] KafkaError),
    #[error("the embedded broker ended")]
    Ended,
}

struct BrokerRequest {
    topic: String,
    partitions: i32,
    answer: mpsc::Sender<Result<(), KafkaError>>,
}

impl EmbeddedBroker {
    /// Starts it on a free port.
    pub(crate) fn start() -> Result<Self, EmbeddedError> {
        let (requests, received) = mpsc::channel();
        let (answer, started) = mpsc::channel();
        thread::Builder::new().name("embedded-broker".into()).spawn(move || {
            // The client that carries the cluster outlives it.
            let carrier = match carrier() {
                Ok(carrier) => carrier,
                Err(error) => {
                    let _ = answer.send(Err(error));
                    return;
                }
            };
            let Some(cluster) = carrier.client().mock_cluster() else {
                let _ = answer.send(Err(KafkaError::Global(RDKafkaErrorCode::Fail)));
                return;
            };
            // The caller waits for this answer, and for those to requests.
            let _ = answer.send(Ok(cluster.bootstrap_servers()));
            serve(&cluster, &received);
        })?;
        let bootstrap_servers = started.recv().map_err(|_| EmbeddedError::Ended)??;
        Ok(Self { bootstrap_servers, requests })
    }

    pub(crate) fn bootstrap_servers(&self) -> String {
        self.bootstrap_servers.clone()
    }

    /// Creates `topic` unless it was created here before.
    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), EmbeddedError> {
        let (answer, created) = mpsc::channel();
        let request = BrokerRequest { topic: topic.to_owned(), partitions, answer };
        self.requests.send(request).map_err(|_| EmbeddedError::Ended)?;
        Ok(created.recv().map_err(|_| EmbeddedError::Ended)??)
    }
}

/// A client with a mock cluster of one broker, whose groups form at once. librdkafka's default makes the first members of
/// each group wait for three seconds for others.
#[allow(unsafe_code, reason = "rdkafka does not wrap the delay of a mock cluster's groups")]
fn carrier() -> Result<BaseProducer, KafkaError> {
    let carrier: BaseProducer =
        ClientConfig::new().set("test.mock.num.brokers", "1").set_log_level(RDKafkaLogLevel::Error).create()?;
    // SAFETY: the client lives as long as this call, and its cluster as long as the client; a client that was made with
    // mock brokers has one, and otherwise the pointer is null and nothing is called.
    unsafe {
        let cluster = ffi::rd_kafka_handle_mock_cluster(carrier.client().native_ptr());
        if !cluster.is_null() {
            ffi::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
        }
    }
    Ok(carrier)
}

fn serve(cluster: &MockCluster<'_, DefaultProducerContext>, requests: &mpsc::Receiver<BrokerRequest>) {
    let mut known = HashSet::new();
    for BrokerRequest { topic, partitions, answer } in requests {
        let created = match known.contains(&topic) {
            true => Ok(()),
            false => cluster.create_topic(&topic, partitions, 1),
        };
        if created.is_ok() {
            known.insert(topic);
        }
        let _ = answer.send(created);
    }
}
